"""Do tiles show what lies in them, and from which node?"""

# Run by Django's own runner, without pytest to explain a bare assert.
# ruff: noqa: PT009, PT027

from __future__ import annotations

from django.test import SimpleTestCase, TestCase

from django_gmf_router.testing import assert_routed_to
from testproject.places.factories import PlaceFactory
from testproject.tiles.decoding import rows
from testproject.tiles.mercator import EXTENT, Tile

BERN = {"name": "Bern", "category": "town", "lon": 7.4474, "lat": 46.948}


class MercatorTests(SimpleTestCase):
    """Which place is where."""

    def test_the_world_is_one_tile_with_null_island_in_its_middle(self) -> None:
        world = Tile(z=0, x=0, y=0)

        self.assertEqual(world.position(0, 0), (EXTENT // 2, EXTENT // 2))
        self.assertEqual(world.position(-180, 85.0511287798066), (0, 0))

    def test_a_tile_has_a_margin_on_each_side(self) -> None:
        west, south, east, north = Tile(z=1, x=1, y=0).bounds()

        self.assertAlmostEqual(west, -180 / 64)
        self.assertAlmostEqual(east, 180 + 180 / 64)
        self.assertLess(south, 0)
        self.assertGreater(north, 85.06)

    def test_there_is_no_tile_beyond_the_world(self) -> None:
        for numbers in ((23, 0, 0), (1, 2, 0), (1, 0, 2)):
            with self.subTest(numbers), self.assertRaises(ValueError):
                Tile(**dict(zip("zxy", numbers, strict=True)))


class TilesTests(TestCase):
    """`/tiles/...`."""

    def test_a_tile_holds_its_places_where_they_are_from_a_replica(self) -> None:
        bern = PlaceFactory(**BERN)
        PlaceFactory(name="Zürich", lon=8.5417, lat=47.3769)

        with assert_routed_to("replica", reason="read_method"):
            response = self.client.get("/tiles/places/12/2132/1441.mvt")

        self.assertEqual(response["Content-Type"], "application/vnd.mapbox-vector-tile")
        x, y = Tile(z=12, x=2132, y=1441).position(bern.lon, bern.lat)
        self.assertEqual(
            rows(response.content, "places"), [{"id": bern.pk, "name": "Bern", "category": "town", "x": x, "y": y}]
        )

    def test_a_place_just_beyond_the_edge_is_in_both_tiles(self) -> None:
        PlaceFactory(lon=0.001, lat=10)

        for x in (511, 512):
            self.assertEqual(self.client.get(f"/tiles/places/10/{x}/483.mvt").status_code, 200)

    def test_a_tile_without_places_has_no_content(self) -> None:
        response = self.client.get("/tiles/places/12/0/0.mvt")

        self.assertEqual((response.status_code, response.content), (204, b""))

    def test_far_away_only_towns_are_seen(self) -> None:
        PlaceFactory(**BERN)
        PlaceFactory(category="fountain", lon=7.5, lat=46.9)

        found = rows(self.client.get("/tiles/places/5/16/11.mvt").content, "places")

        self.assertEqual([row["name"] for row in found], ["Bern"])

    def test_letters_beyond_ascii_arrive_and_the_same_value_stands_once(self) -> None:
        for _ in range(2):
            PlaceFactory(name="Évian-les-Bains", lon=6.5893, lat=46.4009)

        content = self.client.get("/tiles/places/12/2122/1450.mvt").content

        self.assertEqual([row["name"] for row in rows(content, "places")], ["Évian-les-Bains"] * 2)
        self.assertEqual(content.count("Évian-les-Bains".encode()), 1)

    def test_no_cache_keeps_a_tile(self) -> None:
        self.assertIn("no-store", self.client.get("/tiles/places/0/0/0.mvt")["Cache-Control"])

    def test_a_tile_that_is_none_is_not_found(self) -> None:
        self.assertEqual(self.client.get("/tiles/places/1/2/0.mvt").status_code, 404)

    def test_the_cantons_lie_below(self) -> None:
        regions = self.client.get("/tiles/regions.json").json()["features"]

        cantons = [each["properties"]["name"] for each in regions if each["properties"]["country"] == "CH"]
        self.assertEqual(len(cantons), 26)
        self.assertIn("Genève", cantons)
