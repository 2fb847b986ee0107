"""Do the addresses of the parcels answer, from the node they should?"""

# Run by Django's own runner, without pytest to explain a bare assert.
# ruff: noqa: PT009, S106

from __future__ import annotations

from io import StringIO
from typing import Any
from unittest import SkipTest

from django.conf import settings

if not settings.HAS_PARCELS:
    raise SkipTest("parcels need PostGIS")

from django.contrib.auth import get_user_model
from django.contrib.gis.db.models.functions import IsValid
from django.contrib.gis.geos import Polygon
from django.core.management import call_command
from django.test import TestCase

from django_gmf_router.testing import assert_routed_to
from testproject.parcels.factories import ParcelFactory
from testproject.parcels.models import Owner, Parcel, PrintJob, Region
from testproject.tiles.decoding import rows

BERN = [[7.44, 46.94], [7.45, 46.94], [7.45, 46.95], [7.44, 46.95], [7.44, 46.94]]
BOX = "7.43,46.93,7.46,46.96"
TILE = "15/17061/11532"


def drawn(coordinates: Any = None) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": coordinates or [BERN]}
    return {"type": "Feature", "geometry": geometry, "properties": {}}


def send(test: TestCase, method: str, path: str, body: Any) -> Any:
    return getattr(test.client, method)(path, body, content_type="application/geo+json")


class ItemsTests(TestCase):
    """`/collections/parcels/items`."""

    def test_a_page_leads_to_the_next_one_until_all_were_seen(self) -> None:
        made = [ParcelFactory(geom=polygon()) for _ in range(5)]
        ParcelFactory(geom=polygon(lon=8.5))
        seen, href = [], f"/collections/parcels/items?bbox={BOX}&limit=2"
        while href:
            with assert_routed_to("replica", reason="read_method"):
                body = self.client.get(href).json()
            self.assertEqual(body["numberReturned"], len(body["features"]))
            seen += [feature["id"] for feature in body["features"]]
            href = next((link["href"] for link in body["links"] if link["rel"] == "next"), None)
        self.assertEqual(seen, [parcel.pk for parcel in made])

    def test_what_is_no_page_is_refused_by_its_parameter(self) -> None:
        for query, name in (("bbox=1,2", "bbox"), ("limit=0", "limit"), ("limit=x", "limit"), ("after=-1", "after")):
            with self.subTest(query):
                response = self.client.get(f"/collections/parcels/items?{query}")
                self.assertEqual((response.status_code, list(response.json()["errors"])), (400, [name]))

    def test_a_parcel_that_was_drawn_is_in_its_tile(self) -> None:
        response = send(self, "post", "/collections/parcels/items", drawn())

        self.assertEqual(response.status_code, 201)
        self.assertEqual(self.client.get(response["Location"]).json()["geometry"]["coordinates"], [BERN])
        found = rows(self.client.get(f"/tiles/parcels/{TILE}.mvt").content, "parcels")
        self.assertEqual([(row["id"], row["version"]) for row in found], [(response.json()["id"], 1)])

    def test_a_parcel_gets_another_shape_and_a_new_version(self) -> None:
        parcel = ParcelFactory()
        as_it_was = self.client.get(parcel.get_absolute_url()).json()
        high = [[[*position, 550.5] for position in BERN]]

        response = send(self, "put", parcel.get_absolute_url(), as_it_was | {"geometry": drawn(high)["geometry"]})

        self.assertEqual(response.json()["properties"]["version"], 2)
        self.assertEqual(response.json()["properties"]["owner"], str(parcel.owner))
        self.assertEqual(self.client.get(parcel.get_absolute_url()).json()["geometry"]["coordinates"], [BERN])

    def test_what_is_no_polygon_is_refused(self) -> None:
        bow = [[7, 46], [8, 47], [8, 46], [7, 47], [7, 46]]
        for body in (
            [],
            {},
            "x",
            drawn([[[7, 46]]]),
            drawn([bow]),
            drawn([[[0, 95], [1, 95], [1, 96], [0, 95]]]),
            drawn(7),
        ):
            with self.subTest(body):
                self.assertEqual(send(self, "post", "/collections/parcels/items", body).status_code, 400)
        self.assertFalse(Parcel.objects.exists())

    def test_a_parcel_that_is_none_is_not_found(self) -> None:
        self.assertEqual(self.client.get("/collections/parcels/items/1").status_code, 404)
        self.assertEqual(send(self, "put", "/collections/parcels/items/1", drawn()).status_code, 404)

    def test_the_collection_names_its_items(self) -> None:
        (collection,) = self.client.get("/collections").json()["collections"]

        self.assertEqual(self.client.get("/collections/parcels").json(), collection)
        self.assertEqual(self.client.get(collection["links"][0]["href"]).json()["features"], [])


class SearchTests(TestCase):
    """`/collections/parcels/search`."""

    def test_a_polygon_finds_the_parcels_in_it_on_a_replica(self) -> None:
        inside = ParcelFactory(geom=polygon())
        ParcelFactory(geom=polygon(lon=8.5))

        with assert_routed_to("replica", reason="slave_override"):
            response = send(self, "post", "/collections/parcels/search", {"geometry": drawn()["geometry"]})

        self.assertEqual([feature["id"] for feature in response.json()["features"]], [inside.pk])

    def test_a_search_without_a_polygon_is_refused(self) -> None:
        for body in ({}, {"geometry": {"type": "Point", "coordinates": [7, 46]}}):
            self.assertEqual(send(self, "post", "/collections/parcels/search", body).status_code, 400)


class PrintTests(TestCase):
    """`/print`."""

    def test_a_job_is_ordered_and_marked_as_fetched_on_the_primary(self) -> None:
        ParcelFactory(geom=polygon())
        ordered = self.client.post("/print", {"title": "A & B", "bbox": BOX})

        with assert_routed_to("primary", reason="master_override"):
            picture = self.client.get(ordered["Location"])

        self.assertEqual(picture["Content-Type"], "image/svg+xml")
        self.assertIn(">A &amp; B</text>", picture.content.decode())
        self.assertEqual(picture.content.count(b"Z"), 1)
        job = PrintJob.objects.get()
        self.assertEqual(job.times_fetched, 1)
        self.assertIsNotNone(job.fetched)

    def test_an_order_without_a_box_is_refused(self) -> None:
        self.assertEqual(self.client.post("/print", {"title": "A"}).status_code, 400)


class TilesTests(TestCase):
    """`/tiles/...`."""

    def test_the_tiles_of_django_vectortiles_come_from_a_replica(self) -> None:
        ParcelFactory(geom=polygon())
        for layer in ("parcels", "regions"):
            with assert_routed_to("replica", reason="read_method"):
                response = self.client.get(f"/tiles/{layer}/{TILE}.mvt")
            self.assertIn("no-store", response["Cache-Control"])


class AdminTests(TestCase):
    """The admin."""

    def test_a_parcel_is_edited_on_a_map(self) -> None:
        self.client.force_login(get_user_model().objects.create_superuser("a", password="a"))
        parcel = ParcelFactory()
        path = f"/admin/parcels/parcel/{parcel.pk}/change/"

        self.assertContains(self.client.get(path), "map-widget")
        geom = f"SRID=4326;POLYGON(({','.join(f'{x} {y}' for x, y in BERN)}))"
        self.client.post(path, {"number": parcel.number, "owner": parcel.owner_id, "geom": geom})

        parcel.refresh_from_db()
        self.assertEqual(parcel.geom.coords[0], tuple(map(tuple, BERN)))


class LoadTests(TestCase):
    """`manage.py load_parcels`."""

    def load(self, count: int) -> str:
        call_command("load_parcels", count=count, stdout=(output := StringIO()))
        return output.getvalue().splitlines()[-1]

    def test_parcels_lie_in_real_regions_and_have_owners(self) -> None:
        self.assertEqual(self.load(140), "140 parcels loaded, 0 parcels were there.")

        self.assertEqual(Region.objects.filter(country="CH").count(), 26)
        self.assertFalse(Parcel.objects.annotate(is_valid=IsValid("geom")).filter(is_valid=False).exists())
        self.assertFalse(Region.objects.annotate(is_valid=IsValid("geom")).filter(is_valid=False).exists())
        self.assertEqual(Parcel.objects.get(number=9).region.name, "Bern")
        self.assertEqual(Parcel.objects.filter(region=None).count(), 0)
        self.assertFalse(Parcel.objects.filter(owner=None).exists())
        self.assertEqual(Owner.objects.count(), 140)

    def test_loading_again_adds_what_is_missing(self) -> None:
        self.load(10)

        self.assertEqual(self.load(12), "2 parcels loaded, 10 parcels were there.")


def polygon(lon: float = 7.444) -> Polygon:
    area = Polygon.from_bbox((lon, 46.944, lon + 0.001, 46.945))
    area.srid = 4326
    return area
