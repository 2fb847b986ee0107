"""What would a fixed window do? After a write all reads of its client use the primary for so many seconds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from django_gmf_router import use_primary

COOKIE = "pinned"


def pin(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Pin the client of a request that writes, as django-multidb-router and others do."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with use_primary() if COOKIE in request.COOKIES else nullcontext():
            response = get_response(request)
        if request.method == "POST":
            response.set_cookie(COOKIE, "y", max_age=int(settings.GMF_PIN_SECONDS))
        return response

    return middleware
