"""The views of the tests on PostGIS; each row says which server it came from."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django.contrib.gis.geos import Point, Polygon
from django.contrib.gis.measure import D
from django.db import connections
from django.db.models import Func, IntegerField
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.geography.models import Place
from tests.urls import sessions

PORT = Func(function="inet_server_port", output_field=IntegerField())


@csrf_exempt
def places(request: HttpRequest) -> JsonResponse:
    """Return the places within `bbox`; a POST adds one first."""
    if request.method == "POST":
        x, y = float(request.POST["x"]), float(request.POST["y"])
        Place.objects.create(name=request.POST["name"], point=Point(x, y))
    box = Polygon.from_bbox(request.GET["bbox"].split(","))
    found = Place.objects.filter(point__within=box).annotate(port=PORT).order_by("name")
    return JsonResponse({"places": [[place.name, *place.point.coords, place.port] for place in found]})


def near(request: HttpRequest) -> JsonResponse:
    """Return the places within 5 km, and on which server GeoDjango looked up what a degree is to do so."""
    lookups = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if "spatial_ref_sys" in sql:
            lookups.append(context["connection"].alias)
        return execute(sql, params, many, context)

    with ExitStack() as stack:
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(note))
        point = Point(float(request.GET["x"]), float(request.GET["y"]), srid=4326)
        found = Place.objects.filter(point__distance_lte=(point, D(km=5))).annotate(port=PORT)
        return JsonResponse(
            {"places": [[place.name, *place.point.coords, place.port] for place in found], "lookups": lookups}
        )


urlpatterns = [
    path("places", places),
    path("near", near),
    path("sessions", sessions),
]
