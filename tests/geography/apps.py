"""The GeoDjango app of the tests: installed only where there is PostGIS."""

from __future__ import annotations

from django.apps import AppConfig


class GeographyConfig(AppConfig):
    name = "tests.geography"
    default_auto_field = "django.db.models.BigAutoField"
