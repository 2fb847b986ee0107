"""What do the addresses of the places answer?"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Count, F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from testproject.places import geojson
from testproject.places.forms import PlaceForm, SearchForm, accepted, parse_bbox, sent_data
from testproject.places.models import Category, Place, ShortLink, leads_within_the_site

LIMIT = 1000


def refusing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer 400 where a view raises ValidationError with what is wrong by its field."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except ValidationError as error:
            return JsonResponse({"errors": error.message_dict}, status=400)

    return answered


# No cookie is consulted here, so another site's form could do nothing that its author could not do alone.
api = method_decorator([csrf_exempt, refusing], name="dispatch")


@api
class Places(View):
    """`/places`: those of a box, or one more."""

    def get(self, request: HttpRequest) -> HttpResponse:
        places = Place.objects.order_by("pk")
        if "bbox" in request.GET:
            try:
                places = within(places, parse_bbox(request.GET["bbox"]))
            except ValidationError as error:
                raise ValidationError({"bbox": error.messages}) from None
        return geojson.collection(places[: LIMIT + 1], limit=LIMIT)

    def post(self, request: HttpRequest) -> HttpResponse:
        place = accepted(PlaceForm(sent_data(request))).save()
        # As the database keeps it: a read after the write, which no replica may have yet.
        place.refresh_from_db()
        headers = {"Location": place.get_absolute_url()}
        return geojson.answer(geojson.feature(place), status=201, headers=headers)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the methods and how many places there are of each category."""
        allowed = super().options(request, *args, **kwargs).headers["Allow"]
        counts = Place.objects.order_by("category").values_list("category").annotate(Count("pk"))
        return JsonResponse({"categories": dict(counts)}, headers={"Allow": allowed})


def within(places: QuerySet[Place], bbox: tuple[float, float, float, float]) -> QuerySet[Place]:
    minlon, minlat, maxlon, maxlat = bbox
    east, west = Q(lon__gte=minlon), Q(lon__lte=maxlon)
    return places.filter(east & west if minlon <= maxlon else east | west, lat__range=(minlat, maxlat))


@require_safe
def place(_request: HttpRequest, pk: int) -> HttpResponse:
    """`/places/<id>`."""
    return geojson.answer(geojson.feature(get_object_or_404(Place, pk=pk)))


@require_safe
async def count(_request: HttpRequest) -> HttpResponse:
    """`/places/count`, asynchronous."""
    return JsonResponse({"count": await Place.objects.acount()})


@api
class Search(View):
    """`/places/search`: a POST that only reads, so DB_CHOOSER's "slave" names it."""

    def post(self, request: HttpRequest) -> HttpResponse:
        search = accepted(SearchForm(sent_data(request))).cleaned_data
        return geojson.collection(found_by(**search)[: LIMIT + 1], limit=LIMIT)


def found_by(*, text: str, category: str) -> QuerySet[Place]:
    places = Place.objects.order_by("name", "pk")
    if text:
        places = places.filter(name__icontains=text)
    return places.filter(category=Category(category)) if category else places


@require_safe
def short_link(_request: HttpRequest, ref: str) -> HttpResponse:
    """`/s/<ref>`: a GET that writes, so DB_CHOOSER's "master" names it."""
    link = get_object_or_404(ShortLink, ref=ref)
    if not leads_within_the_site(link.target):
        raise Http404(f"The short link {ref} leads to another site.")
    ShortLink.objects.filter(pk=link.pk).update(hits=F("hits") + 1)
    return HttpResponseRedirect(link.target)
