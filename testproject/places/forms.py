"""Is what a client sent a place, a search, a box?"""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from testproject.places.models import Category, Place

Form = TypeVar("Form", bound=forms.BaseForm)


class PlaceForm(forms.ModelForm):
    """A place to be kept."""

    class Meta:
        model = Place
        fields = ["name", "category", "lon", "lat"]


class SearchForm(forms.Form):
    """A search; both fields may be missing."""

    text = forms.CharField(required=False, max_length=200)
    category = forms.ChoiceField(required=False, choices=[("", "any"), *Category.choices])


def sent_data(request: HttpRequest) -> Any:
    """Return the request's fields, from JSON or a form. Raises ValidationError where the JSON holds none."""
    if request.content_type != "application/json":
        return request.POST
    try:
        data = json.loads(request.body)
    except (ValueError, RecursionError):
        raise ValidationError({"body": "The body is not JSON."}) from None
    if not isinstance(data, dict) or any(isinstance(value, (dict, list)) for value in data.values()):
        raise ValidationError({"body": "The body is not a JSON object of plain values."})
    return data


def accepted(form: Form) -> Form:
    """Return the form with what a client sent. Raises ValidationError where it is not valid."""
    if not form.is_valid():
        raise ValidationError(form.errors.as_data())
    return form


def parse_bbox(text: str) -> tuple[float, float, float, float]:
    """Return minlon, minlat, maxlon, maxlat in degrees.

    A box over the antimeridian has its minlon beyond its maxlon (RFC 7946, section 5.2).
    Raises ValidationError.
    """
    try:
        minlon, minlat, maxlon, maxlat = (float(part) for part in text.split(","))
    except ValueError:
        raise ValidationError("bbox takes four numbers: minlon,minlat,maxlon,maxlat.") from None
    if not all(map(math.isfinite, (minlon, minlat, maxlon, maxlat))):
        raise ValidationError("bbox takes finite numbers.")
    if not (-180 <= minlon <= 180 and -180 <= maxlon <= 180 and -90 <= minlat <= maxlat <= 90):
        raise ValidationError("bbox is in degrees: longitudes within 180, latitudes within 90, minlat up to maxlat.")
    return minlon, minlat, maxlon, maxlat
