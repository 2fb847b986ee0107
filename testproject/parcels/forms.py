"""Is what a client sent a parcel, an area, a page?"""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib.gis.gdal import GDALException
from django.contrib.gis.geos import GEOSException, Polygon
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.http import HttpRequest

from testproject.parcels.models import LONGEST_TITLE, WGS84
from testproject.places.forms import parse_bbox

DEFAULT_LIMIT, HIGHEST_LIMIT = 10, 1000
WORLD = Polygon.from_bbox((-180, -90, 180, 90))


class AreaField(forms.Field):
    """A polygon as GeoJSON (RFC 7946, section 3.1.6)."""

    def to_python(self, value: Any) -> Polygon | None:
        if value in self.empty_values:
            return None
        try:
            if value["type"] != "Polygon":
                raise ValidationError("The geometry is no Polygon.")
            # A third number is the height, which no parcel has.
            rings = [[position[:2] for position in ring] for ring in value["coordinates"]]
            area = Polygon(*rings, srid=WGS84)
        except (KeyError, TypeError, ValueError, GEOSException, GDALException):
            raise ValidationError("The geometry is no Polygon of GeoJSON.") from None
        if not area.valid:
            raise ValidationError(f"The polygon is not valid: {area.valid_reason}.")
        if area.empty or not WORLD.covers(area):
            raise ValidationError("The polygon lies outside of the world: its positions are longitude, latitude.")
        return area


class BoxField(forms.CharField):
    """minlon,minlat,maxlon,maxlat."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return parse_bbox(text) if text else None


class ItemsForm(forms.Form):
    """Which page of the parcels (OGC API - Features, 7.15)."""

    bbox = BoxField(required=False)
    limit = forms.IntegerField(required=False, validators=[MinValueValidator(1)])
    after = forms.IntegerField(required=False, validators=[MinValueValidator(0), MaxValueValidator(2**63 - 1)])

    def clean_limit(self) -> int:
        return min(self.cleaned_data["limit"] or DEFAULT_LIMIT, HIGHEST_LIMIT)


class SearchForm(forms.Form):
    """Which parcels lie in an area."""

    geometry = AreaField()
    limit = forms.IntegerField(required=False, validators=[MinValueValidator(1)])

    def clean_limit(self) -> int:
        return min(self.cleaned_data["limit"] or HIGHEST_LIMIT, HIGHEST_LIMIT)


class FeatureForm(forms.Form):
    """The shape of a parcel that somebody drew; who owns it the land registry says."""

    geometry = AreaField()


class PrintForm(forms.Form):
    """What to print."""

    title = forms.CharField(max_length=LONGEST_TITLE)
    bbox = BoxField()


def sent_json(request: HttpRequest) -> dict[str, Any]:
    """Return the body's object. Raises ValidationError where it holds none."""
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError):
        raise ValidationError({"body": "The body is not JSON."}) from None
    if not isinstance(data, dict):
        raise ValidationError({"body": "The body is not a JSON object."})
    return data


def sent_feature(request: HttpRequest) -> dict[str, Any]:
    """Return the GeoJSON feature in the body. Raises ValidationError where it holds none."""
    data = sent_json(request)
    if data.get("type") != "Feature":
        raise ValidationError({"body": "The body is no Feature of GeoJSON."})
    return data
