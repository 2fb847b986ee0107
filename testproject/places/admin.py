"""What can the office edit?"""

from __future__ import annotations

from django.contrib import admin

from testproject.places.models import Place, ShortLink


@admin.register(Place)
class PlaceAdmin(admin.ModelAdmin):
    """The places."""

    list_display = ["name", "category", "lon", "lat", "updated"]
    list_filter = ["category"]
    search_fields = ["name"]
    ordering = ["name"]


@admin.register(ShortLink)
class ShortLinkAdmin(admin.ModelAdmin):
    """The short links and how often they were followed."""

    list_display = ["ref", "target", "hits"]
    readonly_fields = ["hits"]
    ordering = ["ref"]
