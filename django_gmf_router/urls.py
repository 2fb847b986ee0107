"""Under which paths does a site tell of its clusters? For `include("django_gmf_router.urls")`."""

from __future__ import annotations

from django.urls import path

from django_gmf_router.metrics.views import metrics
from django_gmf_router.status_page import views
from django_gmf_router.views.health import health

app_name = "gmf_router"
urlpatterns = [
    path("health", health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("status", views.status, name="status"),
    path("status.json", views.status_json, name="status_json"),
]
