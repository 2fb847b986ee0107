"""The app that the package's own tests read and write."""

from __future__ import annotations

from django.apps import AppConfig


class LibraryConfig(AppConfig):
    name = "tests.books"
    label = "library"
    default_auto_field = "django.db.models.BigAutoField"
