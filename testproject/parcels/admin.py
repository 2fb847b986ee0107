"""What can the land registry edit, on a map?"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.gis.admin import GISModelAdmin

from testproject.parcels.models import Owner, Parcel, PrintJob, Region
from testproject.parcels.widgets import MapWidget


@admin.register(Parcel)
class ParcelAdmin(GISModelAdmin):
    """The parcels."""

    gis_widget = MapWidget

    list_display = ["number", "owner", "region", "updated"]
    list_select_related = ["owner", "region"]
    search_fields = ["=number", "owner__name"]
    raw_id_fields = ["owner", "region"]
    ordering = ["number"]


@admin.register(Owner)
class OwnerAdmin(admin.ModelAdmin):
    """The people."""

    list_display = ["name", "town"]
    search_fields = ["name"]
    ordering = ["name", "pk"]


@admin.register(Region)
class RegionAdmin(admin.ModelAdmin):
    """The regions; their boundaries come with the data."""

    exclude = ["geom"]

    list_display = ["code", "name", "country"]
    search_fields = ["name"]
    ordering = ["code"]


@admin.register(PrintJob)
class PrintJobAdmin(GISModelAdmin):
    """The print jobs and whether they were fetched."""

    gis_widget = MapWidget

    list_display = ["title", "requested", "fetched", "times_fetched"]
    readonly_fields = ["fetched", "times_fetched"]
    ordering = ["-requested"]
