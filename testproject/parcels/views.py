"""What do the addresses of the parcels answer? (OGC API - Features, as far as a map needs it)"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.gis.geos import Polygon
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from testproject.parcels import printed
from testproject.parcels.forms import FeatureForm, ItemsForm, PrintForm, SearchForm, sent_feature, sent_json
from testproject.parcels.models import WGS84, Parcel, PrintJob
from testproject.places import geojson
from testproject.places.forms import accepted
from testproject.places.views import api, refusing

MOST_PRINTED = 5000
ITEMS = "/collections/parcels/items"
COLLECTION = {
    "id": "parcels",
    "title": "Parcels",
    "itemType": "feature",
    "links": [{"href": ITEMS, "rel": "items", "type": geojson.CONTENT_TYPE}],
}


@require_safe
def collections(_request: HttpRequest) -> JsonResponse:
    """`/collections`."""
    return JsonResponse({"collections": [COLLECTION]})


@require_safe
def collection(_request: HttpRequest) -> JsonResponse:
    """`/collections/parcels`."""
    return JsonResponse(COLLECTION)


@api
class Items(View):
    """`/collections/parcels/items`: a page of the parcels in a box, or one more."""

    def get(self, request: HttpRequest) -> HttpResponse:
        wanted = accepted(ItemsForm(request.GET)).cleaned_data
        found, limit = parcels(), wanted["limit"]
        if box := wanted["bbox"]:
            found = found.filter(geom__intersects=area_of(box))
        if after := wanted["after"]:
            found = found.filter(pk__gt=after)
        # One more than asked for tells whether there is another page.
        page = list(found[: limit + 1])
        return answer(request, page[:limit], is_more=len(page) > limit)

    def post(self, request: HttpRequest) -> HttpResponse:
        drawn = accepted(FeatureForm(sent_feature(request))).cleaned_data["geometry"]
        parcel = Parcel.objects.create(geom=drawn)
        return geojson.answer(feature(parcel), status=201, headers={"Location": parcel.get_absolute_url()})


@api
class Item(View):
    """`/collections/parcels/items/<id>`: one parcel, or its new shape."""

    def get(self, _request: HttpRequest, pk: int) -> HttpResponse:
        return geojson.answer(feature(get_object_or_404(parcels(), pk=pk)))

    def put(self, request: HttpRequest, pk: int) -> HttpResponse:
        drawn = accepted(FeatureForm(sent_feature(request))).cleaned_data["geometry"]
        changed = Parcel.objects.filter(pk=pk).update(geom=drawn, version=F("version") + 1, updated=timezone.now())
        if not changed:
            raise Http404(f"There is no parcel {pk}.")
        return geojson.answer(feature(parcels().get(pk=pk)))


@csrf_exempt
@require_POST
@refusing
def search(request: HttpRequest) -> HttpResponse:
    """`/collections/parcels/search`: a POST that only reads, so DB_CHOOSER's "slave" names it."""
    wanted = accepted(SearchForm(sent_json(request))).cleaned_data
    limit = wanted["limit"]
    page = list(parcels().filter(geom__intersects=wanted["geometry"])[: limit + 1])
    return geojson.answer(
        {"type": "FeatureCollection", "features": [*map(feature, page[:limit])], "truncated": len(page) > limit}
    )


@csrf_exempt
@require_POST
@refusing
def print_map(request: HttpRequest) -> HttpResponse:
    """`/print`: order a map on paper."""
    order = accepted(PrintForm(request.POST)).cleaned_data
    job = PrintJob.objects.create(title=order["title"], area=area_of(order["bbox"]))
    location = job.get_absolute_url()
    return JsonResponse({"id": job.pk, "href": location}, status=201, headers={"Location": location})


@require_safe
def print_job(_request: HttpRequest, pk: int) -> HttpResponse:
    """`/print/<id>`: a GET that writes who fetched it, so DB_CHOOSER's "master" names it."""
    job = get_object_or_404(PrintJob, pk=pk)
    PrintJob.objects.filter(pk=pk).update(fetched=timezone.now(), times_fetched=F("times_fetched") + 1)
    found = Parcel.objects.filter(geom__intersects=job.area).order_by("pk")
    return HttpResponse(printed.picture(job, found[:MOST_PRINTED]), content_type="image/svg+xml")


def parcels() -> QuerySet[Parcel]:
    return Parcel.objects.select_related("owner", "region").order_by("pk")


def area_of(box: tuple[float, float, float, float]) -> Polygon:
    area = Polygon.from_bbox(box)
    area.srid = WGS84
    return area


def feature(parcel: Parcel) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": parcel.pk,
        "geometry": {"type": "Polygon", "coordinates": parcel.geom.coords},
        "properties": {
            "number": parcel.number,
            "version": parcel.version,
            "owner": str(parcel.owner) if parcel.owner else None,
            "region": str(parcel.region) if parcel.region else None,
            "updated": parcel.updated,
        },
    }


def answer(request: HttpRequest, page: list[Parcel], *, is_more: bool) -> JsonResponse:
    """Return a page with its links (OGC API - Features, 7.15.7)."""
    links = [link(request, "self", dict(request.GET.items()))]
    if is_more:
        links.append(link(request, "next", {**dict(request.GET.items()), "after": page[-1].pk}))
    return geojson.answer(
        {
            "type": "FeatureCollection",
            "features": [feature(parcel) for parcel in page],
            "numberReturned": len(page),
            "timeStamp": timezone.now(),
            "links": links,
        }
    )


def link(request: HttpRequest, rel: str, query: dict[str, Any]) -> dict[str, str]:
    href = request.build_absolute_uri(f"{request.path}?{urlencode(query, safe=',')}" if query else request.path)
    return {"href": href, "rel": rel, "type": geojson.CONTENT_TYPE}
