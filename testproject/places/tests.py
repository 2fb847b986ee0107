"""Do the addresses of the places answer, from the node they should?"""

# Run by Django's own runner, without pytest to explain a bare assert.
# ruff: noqa: PT009, PT027

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client, SimpleTestCase, TestCase
from django.urls import reverse

from django_gmf_router.testing import assert_routed_to
from testproject.places import sample
from testproject.places.factories import PlaceFactory, ShortLinkFactory
from testproject.places.forms import parse_bbox
from testproject.places.models import Place, ShortLink, leads_within_the_site

FOUNTAIN = {"name": "Fontaine de la Palud", "category": "fountain", "lon": 6.6331, "lat": 46.5217}


class PlacesTests(TestCase):
    """`/places`."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.inside = PlaceFactory(name="Inside", lon=6.6, lat=46.5)
        cls.outside = PlaceFactory(name="Outside", lon=8.5, lat=47.4)
        cls.fiji = PlaceFactory(name="Fiji", lon=179.5, lat=-17.7)

    def names(self, query: str) -> list[str]:
        with assert_routed_to("replica", reason="read_method"):
            response = self.client.get(f"/places?{query}")
        self.assertEqual(response["Content-Type"], "application/geo+json")
        return [feature["properties"]["name"] for feature in response.json()["features"]]

    def test_a_box_holds_the_places_within_it_from_a_replica(self) -> None:
        self.assertEqual(self.names("bbox=6,46,7,47"), ["Inside"])

    def test_a_box_may_cross_the_antimeridian(self) -> None:
        self.assertEqual(self.names("bbox=177,-20,-178,-15"), ["Fiji"])

    def test_without_a_box_all_places_are_answered(self) -> None:
        self.assertEqual(self.names(""), ["Inside", "Outside", "Fiji"])

    def test_a_place_is_a_feature(self) -> None:
        feature = self.client.get("/places?bbox=6,46,7,47").json()["features"][0]

        self.assertEqual(feature["geometry"], {"type": "Point", "coordinates": [6.6, 46.5]})
        self.assertEqual(feature["id"], self.inside.pk)

    def test_a_collection_says_where_it_is_not_all(self) -> None:
        self.assertFalse(self.client.get("/places").json()["truncated"])
        Place.objects.bulk_create(sample.places(1001))

        body = self.client.get("/places").json()

        self.assertTrue(body["truncated"])
        self.assertEqual(len(body["features"]), 1000)

    def test_a_bad_box_is_refused_by_its_parameter(self) -> None:
        for bbox in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "0,0,inf,1", "0,2,1,1", "0,0,999,1"):
            with self.subTest(bbox):
                response = self.client.get("/places", {"bbox": bbox})

                self.assertEqual(response.status_code, 400)
                self.assertEqual(list(response.json()["errors"]), ["bbox"])

    def test_one_place_comes_from_a_replica(self) -> None:
        with assert_routed_to("replica", reason="read_method"):
            response = self.client.get(self.inside.get_absolute_url())

        self.assertEqual(response.json()["properties"]["name"], "Inside")
        self.assertEqual(response["X-GMF-Database"].partition(";")[2], " reason=read_method")

    def test_a_place_that_is_not_there_is_not_found(self) -> None:
        for number in (0, 10**30):
            self.assertEqual(self.client.get(f"/places/{number}").status_code, 404)

    def test_head_and_options_read_from_a_replica_too(self) -> None:
        for method in (self.client.head, self.client.options):
            with assert_routed_to("replica", reason="read_method"):
                response = method("/places")
            self.assertEqual(response.status_code, 200)

    def test_options_name_methods_and_categories(self) -> None:
        response = self.client.options("/places")

        self.assertIn("POST", response["Allow"])
        self.assertEqual(response.json(), {"categories": {"fountain": 3}})

    async def test_the_asynchronous_count_comes_from_a_replica(self) -> None:
        with assert_routed_to("replica", reason="read_method"):
            response = await self.async_client.get("/places/count")

        self.assertEqual(response.json(), {"count": 3})


class PostTests(TestCase):
    """`POST /places`."""

    def post(self, data: Any) -> Any:
        return Client(enforce_csrf_checks=True).post("/places", data, content_type="application/json")

    def test_json_and_forms_make_a_place_on_the_primary(self) -> None:
        for options in ({"content_type": "application/json"}, {}):
            with assert_routed_to("primary", reason="write_method"):
                response = Client(enforce_csrf_checks=True).post("/places", FOUNTAIN, **options)

            self.assertEqual(response.status_code, 201)
            place = Place.objects.get(pk=response.json()["id"])
            self.assertEqual(response["Location"], f"/places/{place.pk}")
            self.assertEqual((place.name, place.lon), ("Fontaine de la Palud", 6.6331))

    def test_a_bad_place_is_refused_by_its_fields(self) -> None:
        for change in (
            {"name": ""},
            {"name": "a\0b"},
            {"category": "volcano"},
            {"lon": 181},
            {"lat": "nan"},
            {"lat": None},
        ):
            with self.subTest(change):
                response = self.post(json.dumps({**FOUNTAIN, **change}))

                self.assertEqual(response.status_code, 400)
                self.assertEqual(list(response.json()["errors"]), list(change))

    def test_a_body_that_is_no_json_object_is_refused(self) -> None:
        for body in ("{", "[]", "3", b"\xff", "[" * 100_000, json.dumps({"name": ["x"]})):
            with self.subTest(body[:20]):
                response = self.post(body)

                self.assertEqual(response.status_code, 400)
                self.assertEqual(list(response.json()["errors"]), ["body"])

    def test_other_methods_are_not_allowed(self) -> None:
        self.assertEqual(self.client.delete("/places").status_code, 405)
        self.assertEqual(self.client.get("/places/search").status_code, 405)


class SearchTests(TestCase):
    """`POST /places/search`."""

    @classmethod
    def setUpTestData(cls) -> None:
        PlaceFactory(name="Brunnen 1, Bern")
        PlaceFactory(name="Schulhaus 1, Bern", category="school")
        PlaceFactory(name="Schulhaus 1, Thun", category="school")

    def found(self, **search: str) -> list[str]:
        with assert_routed_to("replica", reason="slave_override"):
            response = self.client.post("/places/search", search, content_type="application/json")
        return [feature["properties"]["name"] for feature in response.json()["features"]]

    def test_a_search_is_a_post_that_reads_from_a_replica(self) -> None:
        self.assertEqual(self.found(text="bern"), ["Brunnen 1, Bern", "Schulhaus 1, Bern"])
        self.assertEqual(self.found(text="bern", category="school"), ["Schulhaus 1, Bern"])
        self.assertEqual(len(self.found()), 3)

    def test_a_bad_search_is_refused(self) -> None:
        response = self.client.post("/places/search", {"category": "volcano"})

        self.assertEqual(response.status_code, 400)
        self.assertEqual(list(response.json()["errors"]), ["category"])
        broken = self.client.post("/places/search", "{", content_type="application/json")
        self.assertEqual(list(broken.json()["errors"]), ["body"])


class ShortLinkTests(TestCase):
    """`/s/<ref>`."""

    def test_a_visit_is_counted_on_the_primary_by_get_and_head(self) -> None:
        link = ShortLinkFactory(target="/places?bbox=1,2,3,4")

        for method in (self.client.get, self.client.head):
            with assert_routed_to("primary", reason="master_override"):
                response = method(link.get_absolute_url())
            self.assertRedirects(response, "/places?bbox=1,2,3,4", fetch_redirect_response=False)

        link.refresh_from_db()
        self.assertEqual(link.hits, 2)

    def test_a_link_to_another_site_leads_nowhere_and_is_not_counted(self) -> None:
        link = ShortLinkFactory(target="//example.org/")

        self.assertEqual(self.client.get(link.get_absolute_url()).status_code, 404)
        self.assertEqual(ShortLink.objects.get().hits, 0)
        with self.assertRaises(ValidationError):
            link.full_clean()

    def test_an_unknown_link_is_not_found(self) -> None:
        self.assertEqual(self.client.get("/s/nobody").status_code, 404)


class TargetTests(SimpleTestCase):
    """Where short links may lead."""

    def test_only_paths_of_the_site(self) -> None:
        for target in ("/", "/places?bbox=1,2,3,4"):
            self.assertTrue(leads_within_the_site(target), target)
        for target in (
            "",
            "places",
            "//x.org",
            "/\\x.org",
            "https://x.org",
            "javascript:alert(1)",
            "///x.org",
            "\t//x",
        ):
            self.assertFalse(leads_within_the_site(target), target)

    def test_a_box_is_four_numbers(self) -> None:
        self.assertEqual(parse_bbox("6,46.5,7,47"), (6.0, 46.5, 7.0, 47.0))


class AdminTests(TestCase):
    """The admin."""

    def test_the_office_logs_in_and_sees_its_places(self) -> None:
        get_user_model().objects.create_superuser("office", password="office")  # noqa: S106
        PlaceFactory(name="Fontaine 1")

        self.client.post(reverse("admin:login"), {"username": "office", "password": "office"})
        with assert_routed_to("replica", reason="read_method"):
            response = self.client.get(reverse("admin:places_place_changelist"))

        self.assertContains(response, "Fontaine 1")


class LoadPlacesTests(TestCase):
    """`manage.py load_places`."""

    def load(self, count: int, **options: Any) -> str:
        call_command("load_places", count=count, stdout=(output := StringIO()), **options)
        return output.getvalue()

    def test_a_second_run_loads_what_is_missing(self) -> None:
        self.assertIn("600 places and 70 short links loaded, 0 places were there.", self.load(600))
        self.assertIn("Loading places: 700 of 700", self.load(700))

        self.assertEqual(Place.objects.count(), 700)
        self.assertEqual(Place.objects.values("name").distinct().count(), 700)
        self.assertEqual(ShortLink.objects.count(), 70)
        self.assertEqual(self.client.get("/s/zurich").status_code, 302)

    def test_the_sample_is_always_the_same(self) -> None:
        first, second = ([(place.name, place.lon, place.lat) for place in sample.places(300)] for _ in range(2))

        self.assertEqual(first, second)
        self.assertEqual(first[0], ("Zürich", 8.5417, 47.3769))

    def test_a_negative_number_is_refused_and_silence_is_kept(self) -> None:
        with self.assertRaisesMessage(CommandError, "--count is -1"):
            self.load(-1)
        self.assertEqual(self.load(1, verbosity=0), "")
