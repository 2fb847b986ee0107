"""Which URLs does this package bring? A site includes them where it likes."""

from __future__ import annotations

from django.urls import path

from django_gmf_router.status_page import views

app_name = "gmf_router"
urlpatterns = [
    path("status", views.status, name="status"),
    path("status.json", views.status_json, name="status_json"),
]
