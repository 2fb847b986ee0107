"""What is the app of the places called?"""

from __future__ import annotations

from django.apps import AppConfig


class PlacesConfig(AppConfig):
    """Places of the office and short links to them."""

    name = "testproject.places"
