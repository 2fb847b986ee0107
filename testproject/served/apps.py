"""What is the app of the page `/` called?"""

from __future__ import annotations

from django.apps import AppConfig


class ServedConfig(AppConfig):
    """Shows which node served the last requests, and why."""

    name = "testproject.served"
