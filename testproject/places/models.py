"""What does the office keep?"""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.http import url_has_allowed_host_and_scheme


class Category(models.TextChoices):
    """The kinds of places."""

    TOWN = "town"
    FOUNTAIN = "fountain"
    SCHOOL = "school"
    PHARMACY = "pharmacy"
    PLAYGROUND = "playground"
    VIEWPOINT = "viewpoint"
    BUS_STOP = "bus_stop"
    RECYCLING = "recycling"


class Place(models.Model):
    """A named point; longitude and latitude in degrees, WGS 84."""

    name = models.CharField(max_length=200)
    category = models.CharField(max_length=20, choices=Category, db_index=True)
    lon = models.FloatField("longitude", validators=[MinValueValidator(-180), MaxValueValidator(180)])
    lat = models.FloatField("latitude", validators=[MinValueValidator(-90), MaxValueValidator(90)])
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["lon", "lat"], name="places_place_position")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/places/{self.pk}"


def leads_within_the_site(target: str) -> bool:
    """Whether `target` is a path of this site: a short link must not lead visitors elsewhere."""
    return target.startswith("/") and url_has_allowed_host_and_scheme(target, allowed_hosts=None)


def validate_target(target: str) -> None:
    if not leads_within_the_site(target):
        raise ValidationError("Enter a path of this site, such as /places?bbox=7,46,8,47.")


class ShortLink(models.Model):
    """A short address that counts its visits."""

    ref = models.SlugField(unique=True)
    target = models.CharField(max_length=500, validators=[validate_target])
    hits = models.PositiveBigIntegerField(default=0, editable=False)

    def __str__(self) -> str:
        return self.ref

    def get_absolute_url(self) -> str:
        return f"/s/{self.ref}"
