"""The views of both sites: whose parcels does a request see, by each way to read?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.db import DataError, connections, transaction
from django.db.models import F, IntegerField
from django.db.models.expressions import RawSQL
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from django_gmf_router import current_decision
from tests.parcels.models import Parcel


def seen() -> list[str]:
    """Read by a query and by a server-side cursor."""
    return queried() + [parcel.tenant for parcel in Parcel.objects.iterator(chunk_size=2)]


def queried() -> list[str]:
    return list(Parcel.objects.values_list("tenant", flat=True))


def told(**found: Any) -> dict[str, Any]:
    decision = current_decision()
    assert decision is not None
    node = getattr(connections[decision.alias], "node", None)
    return {**found, "alias": decision.alias, "node": node}


def parcels(request: HttpRequest) -> JsonResponse:
    return JsonResponse(told(tenants=queried() + queried()))


def cursor(request: HttpRequest) -> JsonResponse:
    """Read by a server-side cursor too; one that has delivered rows does not outlive its node."""
    return JsonResponse(told(tenants=seen()))


async def parcels_async(request: HttpRequest) -> JsonResponse:
    rows = [parcel.tenant async for parcel in Parcel.objects.all()]
    return JsonResponse({"tenants": rows * 2})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    """Read when the middleware has long returned."""

    def body() -> Iterator[str]:
        rows = '", "'.join(queried() + queried())
        yield f'{{"tenants": ["{rows}"]}}'

    return StreamingHttpResponse(body())


@csrf_exempt
def save(request: HttpRequest) -> JsonResponse:
    """Write in a transaction that is undone in part, and read on in it and after it."""
    with transaction.atomic():
        inside = seen()
        point = transaction.savepoint()
        Parcel.objects.update(tenant=F("tenant"))
        transaction.savepoint_rollback(point)
        with suppress(DataError), transaction.atomic():
            list(Parcel.objects.using("default").annotate(failed=F("id") / 0))
        inside_again = seen()
        transaction.set_rollback(True)
    assert inside == inside_again
    return JsonResponse(told(tenants=seen()))


def long(request: HttpRequest) -> JsonResponse:
    """Read for so many seconds in one statement, which may move meanwhile."""
    slept = RawSQL("length(pg_sleep(%s)::text)", [float(request.GET["seconds"])], output_field=IntegerField())
    rows = list(Parcel.objects.annotate(slept=slept).filter(slept=0).values_list("tenant", flat=True))
    return JsonResponse(told(tenants=rows * 2))


urlpatterns = [
    path("parcels", parcels),
    path("cursor", cursor),
    path("parcels-async", parcels_async),
    path("stream", stream),
    path("save", save),
    path("long", long),
]
