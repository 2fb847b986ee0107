"""The site of the tests, with the status page."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import include, path

from tests.urls import urlpatterns as of_the_tests

# Browsers ask for an icon of their own accord.
urlpatterns = [
    path("gmf/", include("django_gmf_router.urls")),
    path("favicon.ico", lambda _request: HttpResponse(status=204)),
    *of_the_tests,
]
