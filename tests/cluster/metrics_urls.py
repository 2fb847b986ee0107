"""The pages of the tests' site, and its metrics."""

from __future__ import annotations

from django.urls import include, path

from django_gmf_router.metrics.views import metrics

urlpatterns = [path("metrics", metrics), path("", include("tests.urls"))]
