"""Does the page `/` show which node served the last requests, and why?"""

# Run by Django's own runner, without pytest to explain a bare assert.
# ruff: noqa: PT009

from __future__ import annotations

import re

from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.test import TestCase

from testproject.places.factories import PlaceFactory, ShortLinkFactory
from testproject.served import records


class PageTests(TestCase):
    """`/`."""

    def setUp(self) -> None:
        cache.clear()

    def test_it_shows_requests_with_role_alias_and_reason_the_newest_first(self) -> None:
        self.client.get(PlaceFactory().get_absolute_url())
        self.client.get(ShortLinkFactory(ref="bern").get_absolute_url())

        newest, oldest = records.last()

        self.assertEqual((newest.method, newest.path, newest.status), ("GET", "/s/bern", 302))
        self.assertEqual(
            [(one.role, one.alias, one.reason) for one in newest.served],
            [("primary", "default", "master_override")],
        )
        self.assertEqual([(one.role, one.reason) for one in oldest.served], [("replica", "read_method")])
        self.assertContains(self.client.get("/requests"), "master_override")

    def test_it_has_a_map_of_all_nodes_and_offers_addresses_to_try(self) -> None:
        link = ShortLinkFactory()

        response = self.client.get("/")

        self.assertEqual(response.context["map"]["nodes"], ["default", "replica_1", "replica_2"])
        self.assertContains(response, f'href="{link.get_absolute_url()}"')

    def test_all_that_it_loads_comes_from_the_site_itself(self) -> None:
        text = self.client.get("/").content.decode()

        self.assertEqual(re.findall(r'(?:src|href|action)="((?:https?:)?//[^"]*)"', text), [])
        for module in re.findall(r'"[^"]*": "/static/([^"]+)"', text):
            self.assertIsNotNone(finders.find(module), module)

    def test_only_the_demo_offers_to_break_replicas(self) -> None:
        response = self.client.get("/")

        self.assertFalse(response.context["map"]["outages"])
        self.assertNotContains(response, "Break a replica")

    def test_it_stands_without_places_and_requests(self) -> None:
        self.assertContains(self.client.get("/"), "No request yet.")

    def test_its_own_table_is_not_recorded(self) -> None:
        self.client.get("/requests")

        self.assertEqual(records.last(), [])

    def test_what_a_client_asked_for_is_escaped(self) -> None:
        self.client.get("/places?bbox=<script>alert(1)</script>")

        self.assertNotContains(self.client.get("/requests"), "<script>")

    def test_only_the_last_requests_are_kept(self) -> None:
        for number in range(records.KEPT + 3):
            self.client.get(f"/places?bbox={number}")

        paths = [record.path for record in records.last()]

        self.assertEqual(len(paths), records.KEPT)
        self.assertEqual(paths[0], f"/places?bbox={records.KEPT + 2}")
        self.assertEqual(paths[-1], "/places?bbox=3")

    def test_a_request_without_queries_has_no_decision(self) -> None:
        self.client.get("/places?bbox=x")

        self.assertEqual(records.last()[0].served, ())

    def test_tiles_and_the_states_of_the_nodes_are_not_recorded(self) -> None:
        for path in ("/tiles/places/7/66/45.mvt", "/tiles/regions.json", "/gmf/status.json"):
            self.client.get(path)

        self.assertEqual(records.last(), [])
