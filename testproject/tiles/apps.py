"""What is the app of the tiles called?"""

from __future__ import annotations

from django.apps import AppConfig


class TilesConfig(AppConfig):
    """The map's tiles, as every machine can make them."""

    name = "testproject.tiles"
