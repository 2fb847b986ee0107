"""What does the REST API of these tests answer? Where its reads went, in each way that REST framework has of a view."""

from __future__ import annotations

from typing import Any

from django.db import router
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path
from django.views import View
from rest_framework.authentication import BaseAuthentication
from rest_framework.decorators import action, api_view, authentication_classes, renderer_classes
from rest_framework.generics import ListCreateAPIView
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from django_gmf_router import current_decision, use_primary, use_replica
from tests.books.models import Book


def reason() -> str:
    """Ask where a book is read, and return why there."""
    router.db_for_read(Book)
    decision = current_decision()
    return "outside_request" if decision is None else decision.reason


class Authentication(BaseAuthentication):
    """Looks its client up, as those with tokens do."""

    def authenticate(self, request: Request) -> tuple[str, str]:
        """Return where that was looked up as who it is."""
        return "somebody", reason()


class Renderer(JSONRenderer):
    """Reads while it renders, as the browsable API does."""

    def render(self, data: Any, *args: Any, **kwargs: Any) -> bytes:
        """Return what the view said, and where it renders."""
        rendered: bytes = super().render([*data, reason()], *args, **kwargs)
        return rendered


def answer(request: Request) -> Response:
    """Say where the client was authenticated and where the view reads."""
    return Response([request.auth, reason()])


class Api(APIView):
    """A view class without a block."""

    authentication_classes = [Authentication]
    renderer_classes = [Renderer]

    def get(self, request: Request) -> Response:
        """Say where."""
        return answer(request)

    post = get


@use_primary()
class FromPrimary(Api):
    """One that reads from the primary."""


class Inherits(FromPrimary):
    """One that inherits that."""


@use_replica
class FromReplicaAfterAll(FromPrimary):
    """One that inherits it, and says otherwise."""


@use_primary()
@use_replica()
class Twice(Api):
    """One that says both."""


@use_replica()
class MethodSaysOtherwise(Api):
    """One of whose methods one says otherwise."""

    @use_primary()
    def get(self, request: Request) -> Response:
        """Say where."""
        return answer(request)


class Overrides(FromPrimary):
    """One with a dispatch() of its own."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Read before REST framework does."""
        response = super().dispatch(request, *args, **kwargs)
        response["Before"] = reason()
        return response


@use_replica()
class OverridesToo(Overrides):
    """One that inherits that, and says otherwise."""


class PlaceViewSet(ViewSet):
    """Actions, each decorated in its own way."""

    authentication_classes = [Authentication]
    renderer_classes = [Renderer]

    def list(self, request: Request) -> Response:
        """Say where."""
        return answer(request)

    @use_primary()
    def retrieve(self, request: Request, pk: str) -> Response:
        """Say where."""
        return answer(request)

    @use_replica()
    def create(self, request: Request) -> Response:
        """Say where."""
        return answer(request)

    @action(detail=False)
    @use_primary()
    def inner(self, request: Request) -> Response:
        """Say where."""
        return answer(request)

    @use_primary()
    @action(detail=False, methods=["get", "post"])
    def outer(self, request: Request) -> Response:
        """Say where."""
        return answer(request)

    @action(detail=False)
    def mapped(self, request: Request) -> Response:
        """Say where."""
        return answer(request)

    @mapped.mapping.post
    @use_replica()
    def mapped_post(self, request: Request) -> Response:
        """Say where."""
        return answer(request)


@use_primary()
class PrimaryViewSet(PlaceViewSet):
    """All of these from the primary."""


@use_primary()
@api_view(["GET", "POST"])
@authentication_classes([Authentication])
@renderer_classes([Renderer])
def outer(request: Request) -> Response:
    """Say where, the view and its authentication decorated."""
    return answer(request)


@api_view(["GET", "POST"])
@authentication_classes([Authentication])
@renderer_classes([Renderer])
@use_primary()
def inner(request: Request) -> Response:
    """Say where, the function decorated."""
    return answer(request)


class Asynchronous(View):
    """A view class whose handlers are awaited."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Say where."""
        return HttpResponse(reason())


@use_primary()
class AsynchronousFromPrimary(Asynchronous):
    """One that reads from the primary."""


class Lazy(View):
    """A view class whose response renders later."""

    def get(self, request: HttpRequest) -> TemplateResponse:
        """Say where it renders."""
        return TemplateResponse(request, engines["django"].from_string("{{ reason }}"), {"reason": reason})


@use_primary()
class LazyFromPrimary(Lazy):
    """One that reads from the primary."""


@use_replica()
class LazyFromReplicaAfterAll(LazyFromPrimary):
    """One that inherits it, and says otherwise."""


class BookSerializer(ModelSerializer):
    """A book, whose form offers all authors."""

    class Meta:
        model = Book
        fields = ["id", "title", "author"]


@use_primary()
class Browsable(ListCreateAPIView):
    """The browsable API, which makes a form while it renders."""

    queryset = Book.objects.all()
    serializer_class = BookSerializer
    renderer_classes = [JSONRenderer, BrowsableAPIRenderer]
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []


VIEWS = [
    *(Api, FromPrimary, Inherits, FromReplicaAfterAll, Twice, MethodSaysOtherwise, Overrides, OverridesToo),
    *(Asynchronous, AsynchronousFromPrimary, Lazy, LazyFromPrimary, LazyFromReplicaAfterAll, Browsable),
]
urlpatterns = [
    *(path(view.__name__, view.as_view()) for view in VIEWS),
    path("all/places", PrimaryViewSet.as_view({"get": "list", "post": "create"})),
    path("all/places/<pk>", PrimaryViewSet.as_view({"get": "retrieve"})),
    path("outer", outer),
    path("inner", inner),
]
