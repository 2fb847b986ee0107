"""What is the app of the panel called?"""

from __future__ import annotations

from django.apps import AppConfig

from testproject.outages import local  # noqa: F401  refuses to be imported elsewhere


class OutagesConfig(AppConfig):
    """Breaks and mends the replicas of the demo's own cluster."""

    name = "testproject.outages"
