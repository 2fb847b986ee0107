"""What is the app of the parcels called?"""

from __future__ import annotations

from django.apps import AppConfig


class ParcelsConfig(AppConfig):
    """Parcels and their owners; for PostGIS."""

    name = "testproject.parcels"
