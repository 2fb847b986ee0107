"""What does a request of this benchmark do? Two indexed reads, as a small page."""

from __future__ import annotations

import random

from django.http import HttpRequest, JsonResponse
from django.urls import path

from benchmarks.slowness import PLACES
from benchmarks.slowness.models import Place

READS = 2


def page(_request: HttpRequest) -> JsonResponse:
    """Read places, and say from which servers they came."""
    places = [Place.objects.get(pk=random.randint(1, PLACES)) for _ in range(READS)]
    return JsonResponse({"ports": [place.port for place in places]})


urlpatterns = [path("", page)]
