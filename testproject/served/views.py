"""What does the page `/` show?"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from django_gmf_router.settings import configuration
from testproject.places.models import Place, ShortLink
from testproject.served import records
from testproject.served.map import places_map

SHOWN_PLACES = 6000


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`/`: the map, the addresses to try, the last requests."""
    places = Place.objects.order_by("pk").only("name", "category", "lon", "lat")[:SHOWN_PLACES]
    context = {
        "map": places_map(places),
        "place": Place.objects.order_by("pk").first(),
        "link": ShortLink.objects.order_by("pk").first(),
        **requests_context(),
    }
    return render(request, "served/page.html", context)


@require_safe
def requests(request: HttpRequest) -> HttpResponse:
    """`/requests`: the part of the page that changes."""
    return render(request, "served/requests.html", requests_context())


def requests_context() -> dict[str, Any]:
    last = records.last()
    return {"records": last, "shares": shares(last), "kept": records.KEPT}


def shares(last: list[records.Record]) -> list[dict[str, Any]]:
    """Return how many of the requests each alias served, those of the settings first."""
    counts = Counter(served.alias for record in last for served in record.served)
    aliases = [alias for cluster in configuration.clusters() for alias in (cluster.primary, *cluster.replica_aliases)]
    primaries = {cluster.primary for cluster in configuration.clusters()}
    return [
        {"alias": alias, "count": counts[alias], "role": "primary" if alias in primaries else "replica"}
        for alias in dict.fromkeys([*aliases, *counts])
    ]
