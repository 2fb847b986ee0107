"""What does the land registry keep?"""

from __future__ import annotations

from django.contrib.gis.db import models

WGS84 = 4326
LONGEST_TITLE = 80


class Region(models.Model):
    """A canton, or what the neighbours have in its place; the code is CH.BE for Bern."""

    code = models.CharField(max_length=10, primary_key=True)
    name = models.CharField(max_length=100)
    country = models.CharField(max_length=2)
    geom = models.MultiPolygonField(srid=WGS84)

    def __str__(self) -> str:
        return self.name


class Owner(models.Model):
    """Somebody who owns land."""

    name = models.CharField(max_length=100)
    town = models.CharField(max_length=100)

    def __str__(self) -> str:
        return f"{self.name}, {self.town}"


class Parcel(models.Model):
    """A piece of land."""

    number = models.PositiveIntegerField(unique=True, null=True, blank=True)
    """What the land registry gives it; one that was just drawn has none."""
    owner = models.ForeignKey(Owner, models.PROTECT, null=True, blank=True, related_name="parcels")
    region = models.ForeignKey(Region, models.PROTECT, null=True, blank=True, related_name="parcels")
    geom = models.PolygonField(srid=WGS84)
    version = models.PositiveIntegerField(default=1, editable=False)
    updated = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"Parcel {self.number}" if self.number else "A new parcel"

    def get_absolute_url(self) -> str:
        return f"/collections/parcels/items/{self.pk}"


class PrintJob(models.Model):
    """A map that somebody wants on paper."""

    title = models.CharField(max_length=LONGEST_TITLE)
    area = models.PolygonField(srid=WGS84)
    requested = models.DateTimeField(auto_now_add=True)
    fetched = models.DateTimeField(null=True, editable=False)
    times_fetched = models.PositiveIntegerField(default=0, editable=False)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return f"/print/{self.pk}"
