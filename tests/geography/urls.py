"""The views of the tests on PostGIS; each row says which server it came from."""

from __future__ import annotations

from django.contrib.gis.geos import Point, Polygon
from django.db.models import Func, IntegerField
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.geography.models import Place
from tests.urls import sessions

PORT = Func(function="inet_server_port", output_field=IntegerField())


@csrf_exempt
def places(request: HttpRequest) -> JsonResponse:
    """Answer the places within `bbox`; a POST adds one first."""
    if request.method == "POST":
        x, y = float(request.POST["x"]), float(request.POST["y"])
        Place.objects.create(name=request.POST["name"], point=Point(x, y))
    box = Polygon.from_bbox(request.GET["bbox"].split(","))
    found = Place.objects.filter(point__within=box).annotate(port=PORT).order_by("name")
    return JsonResponse({"places": [[place.name, *place.point.coords, place.port] for place in found]})


urlpatterns = [
    path("places", places),
    path("sessions", sessions),
]
