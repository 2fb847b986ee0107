"""What do the addresses of the map's tiles answer?"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_safe

from testproject.places import boundaries, geojson
from testproject.places.models import Category, Place
from testproject.tiles import encoding
from testproject.tiles.encoding import PointFeature
from testproject.tiles.mercator import Tile

ALL_FROM_ZOOM = 6
"""From where on there are more than the towns."""
DAY = 86400


@never_cache
@require_safe
def places(_request: HttpRequest, z: int, x: int, y: int) -> HttpResponse:
    """`/tiles/places/<z>/<x>/<y>.mvt`, from longitudes and latitudes alone."""
    try:
        tile = Tile(z=z, x=x, y=y)
    except ValueError as error:
        raise Http404(str(error)) from None
    content = encoding.layer("places", features(tile))
    return HttpResponse(content, content_type=encoding.CONTENT_TYPE, status=200 if content else 204)


def features(tile: Tile) -> list[PointFeature]:
    """Return the places in a tile."""
    west, south, east, north = tile.bounds()
    found = Place.objects.filter(lon__range=(west, east), lat__range=(south, north)).order_by("pk")
    if tile.z < ALL_FROM_ZOOM:
        found = found.filter(category=Category.TOWN)
    return [
        PointFeature(id=pk, x=x, y=y, properties={"id": pk, "name": name, "category": category})
        for pk, name, category, lon, lat in found.values_list("pk", "name", "category", "lon", "lat")
        for x, y in [tile.position(lon, lat)]
    ]


@cache_control(max_age=DAY)
@require_safe
def background(_request: HttpRequest) -> JsonResponse:
    """`/tiles/regions.json`: what lies under the tiles, from a file."""
    return geojson.answer(boundaries.regions())
