"""Which APIs does the site of these tests have? Real libraries' views; each says where its reads went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import graphene
import strawberry
import strawberry_django
from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.db import router
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import ListView
from graphene_django.views import GraphQLView as GrapheneView
from rest_framework.routers import SimpleRouter
from strawberry.django.views import AsyncGraphQLView, GraphQLView
from strawberry.file_uploads import Upload
from strawberry.schema.config import StrawberryConfig
from strawberry.subscriptions import GRAPHQL_SSE_PROTOCOL

from django_gmf_router import current_decision, unit_of_work, use_primary
from tests.apis import rest
from tests.books.models import Author, Book


def seen() -> str:
    """Ask where a book is read, and return the role and the reason."""
    router.db_for_read(Book)
    decision = current_decision()
    return "primary outside_request" if decision is None else f"{decision.role} {decision.reason}"


def write() -> str:
    """Return what is seen before and after a write."""
    before = seen()
    Author.objects.create(name="written")
    return f"{before}, {seen()}"


# graphene-django


class PlantTree(graphene.Mutation):
    seen = graphene.String()

    def mutate(self, info: Any) -> PlantTree:
        return PlantTree(seen=write())


class GrapheneQuery(graphene.ObjectType):
    seen = graphene.String()
    lie = graphene.String()
    nested = graphene.Field(lambda: GrapheneQuery)

    def resolve_seen(self, info: Any) -> str:
        return seen()

    def resolve_lie(self, info: Any) -> str:
        return write()

    def resolve_nested(self, info: Any) -> GrapheneQuery:
        return GrapheneQuery()


class GrapheneMutation(graphene.ObjectType):
    plant = PlantTree.Field()


graphene_schema = graphene.Schema(query=GrapheneQuery, mutation=GrapheneMutation)


# strawberry-graphql-django


@strawberry_django.type(Author)
class AuthorType:
    name: strawberry.auto


@strawberry.type
class Planted:
    seen: str


def resolve_planted() -> Planted:
    return Planted(seen=write())


@strawberry.type
class StrawberryQuery:
    seen: str = strawberry_django.field(resolver=seen)
    lie: str = strawberry_django.field(resolver=write)

    authors: list[AuthorType] = strawberry_django.field()

    @strawberry.field
    def nested(self) -> list[AuthorType]:
        return [AuthorType(name=seen())]


@strawberry.type
class StrawberryMutation:
    plant: Planted = strawberry_django.field(resolver=resolve_planted)

    @strawberry_django.mutation
    def upload(self, file: Upload) -> str:
        return f"{seen()} {file.read().decode()}"


@strawberry.type
class StrawberrySubscription:
    @strawberry.subscription
    async def grown(self) -> AsyncIterator[str]:
        yield await sync_to_async(seen)()


config = StrawberryConfig(batching_config={"max_operations": 10})
strawberry_schema = strawberry.Schema(StrawberryQuery, StrawberryMutation, StrawberrySubscription, config=config)
strawberry_view = GraphQLView.as_view(schema=strawberry_schema, multipart_uploads_enabled=True)
async_view = AsyncGraphQLView.as_view(schema=strawberry_schema, subscription_protocols=[GRAPHQL_SSE_PROTOCOL])


# Django's own


class Books(ListView):
    """A generic view, which reads while its template renders."""

    model = Book

    def get_template_names(self) -> Any:
        """Return the template itself."""
        return engines["django"].from_string("{{ object_list.count }} {{ view.seen }}")

    def seen(self) -> str:
        """Say where is read."""
        return seen()


@use_primary()
class PrimaryBooks(Books):
    """The same from the primary."""


async def events(request: HttpRequest) -> StreamingHttpResponse:
    """Send three events: a unit of work each, and what is outside of them."""

    async def body() -> AsyncIterator[str]:
        for _ in range(3):
            with unit_of_work():
                made = await sync_to_async(seen)()
                decision = current_decision()
            yield f"data: {made} {decision and decision.alias} {await sync_to_async(seen)()}\n\n"

    return StreamingHttpResponse(body(), content_type="text/event-stream")


async def iterated(request: HttpRequest) -> HttpResponse:
    """Iterate a queryset, which asks the router in the thread of the event loop, too."""
    found = [author.name async for author in Author.objects.order_by("pk").aiterator()]
    await asyncio.sleep(0)
    return HttpResponse(" ".join((*found, await sync_to_async(seen)())))


def body_later(request: HttpRequest) -> HttpResponse:
    """Read from the database first, and then the body."""
    return HttpResponse(f"{seen()} {len(request.body)}")


routes = SimpleRouter()
routes.register("places", rest.PlaceViewSet, basename="place")
urlpatterns = [
    path("graphene", csrf_exempt(GrapheneView.as_view(schema=graphene_schema))),
    path("graphene/batch", csrf_exempt(GrapheneView.as_view(schema=graphene_schema, batch=True))),
    path("graphene/checked", GrapheneView.as_view(schema=graphene_schema)),
    path("graphene/login", csrf_exempt(login_required(GrapheneView.as_view(schema=graphene_schema)))),
    path("strawberry", csrf_exempt(strawberry_view)),
    path("strawberry/batch", csrf_exempt(strawberry_view)),
    path("strawberry/checked", strawberry_view),
    path("strawberry/login", csrf_exempt(login_required(strawberry_view))),
    path("strawberry/async", csrf_exempt(async_view)),
    path("events", events),
    path("iterated", iterated),
    path("body-later", csrf_exempt(body_later)),
    path("books", Books.as_view()),
    path("books/primary", PrimaryBooks.as_view()),
    path("api/", include([*routes.urls, *rest.urlpatterns])),
]
