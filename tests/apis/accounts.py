"""Where people log in, get tokens and flags, and see where their pages are read from."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import Group, Permission
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.authtoken.models import Token
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from waffle.models import Flag

from tests.apis import examples
from tests.books.models import Author
from tests.urls import look


def user_of(request: HttpRequest) -> Any:
    return get_user_model().objects.get(username=request.GET["name"])


@csrf_exempt
def join(request: HttpRequest) -> HttpResponse:
    """Make a user, in a group and with a permission where that is asked for."""
    user = get_user_model().objects.create(username=request.GET["name"])
    if "group" in request.GET:
        user.groups.add(Group.objects.get_or_create(name=request.GET["group"])[0])
    if "may" in request.GET:
        user.user_permissions.add(Permission.objects.get(codename=request.GET["may"]))
    return HttpResponse(status=201)


@csrf_exempt
def log_in(request: HttpRequest) -> HttpResponse:
    """Log a user in."""
    login(request, user_of(request), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


@csrf_exempt
def token(request: HttpRequest) -> HttpResponse:
    """Make a token for a user, or revoke it."""
    if request.method == "DELETE":
        Token.objects.filter(user=user_of(request)).delete()
        return HttpResponse(status=204)
    return HttpResponse(Token.objects.create(user=user_of(request)).key, status=201)


@csrf_exempt
def flag(request: HttpRequest) -> HttpResponse:
    """Set the flag of the example."""
    made, _ = Flag.objects.update_or_create(
        name="replicas", defaults={"everyone": None, "percent": request.GET.get("percent"), "superusers": False}
    )
    made.users.set(get_user_model().objects.filter(username__in=request.GET.getlist("user")))
    made.groups.set(Group.objects.filter(name__in=request.GET.getlist("group")))
    made.flush()
    return HttpResponse(status=201)


@csrf_exempt
def where(request: HttpRequest) -> JsonResponse:
    """Read once."""
    return JsonResponse(look())


def who(request: HttpRequest) -> JsonResponse:
    """Read the user first, as a page does that greets him."""
    return JsonResponse({"user": request.user.get_username(), **look()})


class Me(APIView):
    """Who has sent this, and where it is read."""

    authentication_classes = [TokenAuthentication, SessionAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request: Request) -> Response:
        """Read once."""
        return Response({"user": request.user.get_username(), **look(), "authors": Author.objects.count()})


class MeFresh(Me):
    """The same, with the example's authentication."""

    authentication_classes = [vars(examples)["FreshTokenAuthentication"]]


urlpatterns = [
    path("join", join),
    path("log-in", log_in),
    path("token", token),
    path("flag", flag),
    path("where", where),
    path("who", who),
    path("api/me", Me.as_view()),
    path("api/fresh", MeFresh.as_view()),
]
