"""The site of the tests, with the status page."""

from __future__ import annotations

from django.urls import include, path

from tests.urls import urlpatterns as of_the_tests

urlpatterns = [path("gmf/", include("django_gmf_router.urls")), *of_the_tests]
