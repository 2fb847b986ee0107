"""Under which paths does a site tell of its clusters? For `include("django_gmf_router.urls")`."""

from __future__ import annotations

from django.urls import path

from django_gmf_router.views.health import health

app_name = "gmf_router"
urlpatterns = [
    path("health", health, name="health"),
]
