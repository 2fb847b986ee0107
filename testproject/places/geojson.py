"""How does a place look as GeoJSON (RFC 7946)?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import JsonResponse

from testproject.places.models import Place

CONTENT_TYPE = "application/geo+json"


def answer(body: dict[str, Any], **kwargs: Any) -> JsonResponse:
    """Return GeoJSON, with names as they are written (RFC 7946 asks for UTF-8)."""
    return JsonResponse(body, content_type=CONTENT_TYPE, json_dumps_params={"ensure_ascii": False}, **kwargs)


def feature(place: Place) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": place.pk,
        "geometry": {"type": "Point", "coordinates": [place.lon, place.lat]},
        "properties": {"name": place.name, "category": place.category, "updated": place.updated},
    }


def collection(places: Iterable[Place], *, limit: int) -> JsonResponse:
    """Return up to `limit` places; give one more, and the answer says that it is not all."""
    features = [feature(place) for place in places]
    return answer({"type": "FeatureCollection", "features": features[:limit], "truncated": len(features) > limit})
