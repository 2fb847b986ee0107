"""The views of the package's own tests."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
