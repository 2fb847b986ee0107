"""What does the page `/` show?"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from django_gmf_router.settings import configuration
from testproject.places.models import Place, ShortLink
from testproject.served import records

SEARCHED = [[[7.445, 46.946], [7.45, 46.946], [7.4475, 46.95], [7.445, 46.946]]]
"""A triangle in Bern."""
ACTIONS = ("kill", "freeze", "pause", "slow", "restart")


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """`/`: the map, the addresses to try, the last requests."""
    context = {
        "map": {
            "layers": ["places", *(["regions", "parcels"] if settings.HAS_PARCELS else [])],
            "nodes": nodes(),
            "status": reverse("gmf_router:status_json"),
            "outages": apps.is_installed("testproject.outages"),
        },
        "replicas": [alias for cluster in configuration.clusters() for alias in cluster.replica_aliases],
        "actions": ACTIONS,
        "has_parcels": settings.HAS_PARCELS,
        "place": Place.objects.order_by("pk").first(),
        "link": ShortLink.objects.order_by("pk").first(),
        **(parcels_context() if settings.HAS_PARCELS else {}),
        **requests_context(),
    }
    return render(request, "served/page.html", context)


@require_safe
def requests(request: HttpRequest) -> HttpResponse:
    """`/requests`: the part of the page that changes."""
    return render(request, "served/requests.html", requests_context())


@require_safe
def icon(_request: HttpRequest) -> HttpResponse:
    """`/favicon.ico`: browsers ask for one of their own accord, and there is none."""
    return HttpResponse(status=204)


def parcels_context() -> dict[str, Any]:
    search = json.dumps({"geometry": {"type": "Polygon", "coordinates": SEARCHED}, "limit": 3})
    return {"search": search, "job": apps.get_model("parcels", "PrintJob").objects.order_by("-pk").first()}


def requests_context() -> dict[str, Any]:
    last = records.last()
    return {"records": last, "shares": shares(last), "kept": records.KEPT}


def shares(last: list[records.Record]) -> list[dict[str, Any]]:
    """Return how many of the requests each alias served, those of the settings first."""
    counts = Counter(served.alias for record in last for served in record.served)
    primaries = {cluster.primary for cluster in configuration.clusters()}
    return [
        {"alias": alias, "count": counts[alias], "role": "primary" if alias in primaries else "replica"}
        for alias in dict.fromkeys([*nodes(), *counts])
    ]


def nodes() -> list[str]:
    """Return the aliases of the settings."""
    return [alias for cluster in configuration.clusters() for alias in (cluster.primary, *cluster.replica_aliases)]
