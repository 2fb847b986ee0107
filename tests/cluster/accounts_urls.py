"""Where people log in, change their passwords, and look at pages and tiles."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth import get_user_model, login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from django_gmf_router import use_replica
from tests.books.models import Author


def asks_for_the_user(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware as many sites have one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.user.is_anonymous or request.user.is_active
        return get_response(request)

    return middleware


@csrf_exempt
@login_not_required
def log_in(request: HttpRequest) -> HttpResponse:
    """Make a user and log it in; on GET show that this is the page to do so."""
    if request.method == "GET":
        return HttpResponse("log in")
    user, is_new = get_user_model().objects.get_or_create(username=request.GET["name"])
    if is_new:
        user.set_password("old")
        user.save()
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse()


@csrf_exempt
def change_password(request: HttpRequest) -> HttpResponse:
    """Change the password, and stay logged in."""
    request.user.set_password("new")
    request.user.save()
    update_session_auth_hash(request, request.user)
    return HttpResponse()


def page(request: HttpRequest) -> HttpResponse:
    """Say who is logged in."""
    return HttpResponse(request.user.get_username() or "nobody")


@use_replica(level="eventual")
def tile(request: HttpRequest) -> HttpResponse:
    """Say who is logged in, and be as old as a replica is."""
    return HttpResponse(f"{request.user.get_username() or 'nobody'} {Author.objects.count()}")


async def page_async(request: HttpRequest) -> HttpResponse:
    """Say who is logged in."""
    return HttpResponse((await request.auser()).get_username() or "nobody")


def touch(request: HttpRequest) -> HttpResponse:
    """Change the session."""
    request.session["seen"] = True
    return HttpResponse("touched")


def save(request: HttpRequest) -> HttpResponse:
    """Write."""
    Author.objects.create(name="saved")
    return HttpResponse(status=201)


def needs_the_user(request: HttpRequest) -> HttpResponse:
    """Answer an error, as many sites do, with who is logged in."""
    return HttpResponse(f"We are sorry, {request.user.get_username()}", status=500)


handler500 = needs_the_user
urlpatterns = [
    path("log-in", log_in),
    path("change-password", change_password),
    path("", page),
    path("async", page_async),
    path("tile", tile),
    path("touch", touch),
    path("save", save),
]
