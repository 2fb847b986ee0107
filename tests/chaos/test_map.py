"""Does a map of real tiles go on while its replicas break in turn, and does an editor see the edit in the next tile?"""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from testproject.outages.nodes import Replicas
from testproject.tiles.decoding import rows
from testproject.tiles.mercator import DEEPEST, tile_at
from tests.chaos.load import TIMEOUT_SECONDS, Answer, Load
from tests.chaos.runs import NOTES, listed
from tests.chaos.sites import INTERVAL, IS_SOAK, MAX_LAG
from tests.cluster.postgis import environment_of_the_map, standing_for_the_map
from tests.cluster.sites import Site, manage, served
from tests.consistency.disturbance import Disturbance
from tests.waiting import until

CONNECTIONS = 32
PLACES, PARCELS, TOWNS = 1_000, 2_000, 10
SECONDS = 60.0 if IS_SOAK else 9.0
EDITS = 1_000 if IS_SOAK else 100
OTHER_LOOKS = 10
"""Another browser looks for one of so many edits."""
PAUSED_SECONDS, BETWEEN_SECONDS = (0.02, 0.5), (0.0, 0.2)
COUNTRY = ("8/133/89", "8/134/90")
REPLICAS = {"replica_1", "replica_2"}
HEADER = "X-GMF-Database"
FAULTS = [(fault, node) for fault in ("kill", "freeze", "slow") for node in ("replica_1", "replica_2")]
NOISE_SECONDS = 3.0  # two noisy cores


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster that holds the demo's places and parcels."""
    with standing_for_the_map() as running:
        commands = (
            ["migrate", "--verbosity=0"],
            ["load_places", f"--count={PLACES}", "--verbosity=0"],
            ["load_parcels", f"--count={PARCELS}", "--verbosity=0"],
        )
        for command in commands:
            done = manage(environment(running), *command)
            assert done.returncode == 0, done.stderr
        running.wait_for_replay(timeout_seconds=30)
        yield running


def environment(cluster: LocalCluster, settings: str = "tests.chaos.map_settings") -> dict[str, str]:
    """Return the environment of a process of the site."""
    return environment_of_the_map(
        cluster, DJANGO_SETTINGS_MODULE=settings, DEBUG="0", SECRET_KEY=secrets.token_urlsafe(50)
    )


@contextmanager
def serving(cluster: LocalCluster, settings: str = "tests.chaos.map_settings") -> Iterator[Site]:
    """Serve the site with a thread for each connection."""
    env = environment(cluster, settings)
    with served("gunicorn", env, workers=2, threads=CONNECTIONS // 2, application="testproject.wsgi") as site:
        yield site


@pytest.fixture(scope="module")
def served_site(cluster: LocalCluster) -> Iterator[Site]:
    """The site, as a server has it."""
    with serving(cluster) as running:
        yield running


@pytest.fixture
def site(served_site: Site) -> Site:
    """The site, whose processes let both replicas serve, whatever an earlier test did to them."""

    def aliases() -> set[str]:
        url = f"{served_site.url}/tiles/places/{COUNTRY[0]}.mvt"
        answers = [httpx.get(url, timeout=TIMEOUT_SECONDS) for _ in range(20)]
        return {answer.headers[HEADER].partition(";")[0] for answer in answers}

    until(lambda: aliases() == REPLICAS, 30, "both replicas serve")
    return served_site


def tiles(site: Site) -> list[str]:
    """Return the paths of tiles that hold something: of the whole country, and of streets."""
    found = httpx.post(f"{site.url}/places/search", data={"category": "town"}, timeout=TIMEOUT_SECONDS).json()
    towns = [tile_at(15, *town["geometry"]["coordinates"]) for town in found["features"][:TOWNS]]
    far = [f"/tiles/{layer}/{of_the_country}.mvt" for layer in ("places", "regions") for of_the_country in COUNTRY]
    return far + [f"/tiles/{layer}/15/{x}/{y}.mvt" for layer in ("places", "parcels") for x, y in towns]


def break_in_turn(cluster: LocalCluster, seconds: float) -> None:
    """Do each fault to each replica; for half of its time the replica is broken, then it is back."""
    replicas = Replicas(cluster)
    share = seconds / len(FAULTS) / 2
    for fault, node in FAULTS:
        began = time.monotonic()
        replicas.act(fault, node)
        _let_pass(began + share)
        replicas.act("restart", node)
        _let_pass(began + 2 * share)


def _let_pass(until_then: float) -> None:
    # What is measured is what happens in this time.
    time.sleep(max(0.0, until_then - time.monotonic()))


def load(site: Site, cluster: LocalCluster, seconds: float) -> Load:
    """Return what the connections were answered while the replicas broke in turn."""
    with Load(site.url, tiles(site), clients=CONNECTIONS) as running:
        running.wait_for(2 * CONNECTIONS)
        break_in_turn(cluster, seconds)
        running.wait_for_each_client()
    return running


def failed(running: Load) -> list[Answer]:
    """Return the tiles that did not come; an empty one has come."""
    return [answer for answer in running.answers if answer.status not in {200, 204}]


def told(running: Load, name: str) -> str:
    """Return the line to print of a load."""
    slowest = max(answer.seconds for answer in running.answers)
    counts = f"{len(running.answers)} tiles on {CONNECTIONS} connections, {len(failed(running))} failed"
    return f"{name}: {counts}, slowest {slowest:.1f} s"


@pytest.mark.soak
def test_no_tile_fails_while_replicas_are_killed_frozen_slowed_and_restarted_in_turn(
    cluster: LocalCluster, site: Site
) -> None:
    running = load(site, cluster, SECONDS)
    NOTES.append(told(running, "the map"))
    assert not failed(running), listed(failed(running))


@pytest.mark.soak
def test_with_a_random_router_tiles_fail(cluster: LocalCluster) -> None:
    """So that the test above proves something."""
    with serving(cluster, "tests.chaos.map_random_settings") as site:
        running = load(site, cluster, SECONDS if IS_SOAK else SECONDS / 3)
    cluster.heal()
    NOTES.append(told(running, "the map with a random router"))
    assert failed(running)


class Editor:
    """Somebody who draws, with the cookies of a browser."""

    def __init__(self, url: str, seed: int) -> None:
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS)
        self.dice = random.Random(seed)
        self.served: Counter[tuple[str, ...]] = Counter()
        self.waited: list[float] = []
        """The seconds until it saw what somebody else had added."""

    def close(self) -> None:
        self.client.close()

    def tile(self, layer: str, lon: float, lat: float) -> list[dict[str, Any]]:
        """Return what the tile shows in which a place lies."""
        x, y = tile_at(DEEPEST, lon, lat)
        response = self.client.get(f"/tiles/{layer}/{DEEPEST}/{x}/{y}.mvt").raise_for_status()
        self.served[tuple(response.headers[HEADER].split("; reason="))] += 1
        return rows(response.content, layer)

    def add(self, lon: float, lat: float) -> int:
        """Add a place; return its key."""
        place = {"name": "drawn", "category": "fountain", "lon": str(lon), "lat": str(lat)}
        key: int = self.client.post("/places", data=place).raise_for_status().json()["id"]
        return key

    def sees(self, key: int, lon: float, lat: float) -> bool:
        """Return whether the tile shows the place."""
        return key in [row["id"] for row in self.tile("places", lon, lat)]

    def sees_the_place_that_it_adds(self, other: Editor | None = None) -> bool:
        """Return whether it does; `other`, who has no token, waits until it is shown there, too."""
        lon, lat = self.dice.uniform(6, 10), self.dice.uniform(46, 47.5)
        key, written = self.add(lon, lat), time.monotonic()
        is_seen = self.sees(key, lon, lat)
        if other is not None:
            until(lambda: other.sees(key, lon, lat), 30, "another browser sees it")
            other.waited.append(time.monotonic() - written)
        return is_seen

    def sees_the_shape_that_it_gives_a_parcel(self) -> bool:
        pk = self.dice.randint(1, PARCELS)
        lon, lat = self.dice.uniform(6, 10), self.dice.uniform(46, 47.5)
        ring = [[lon, lat], [lon + 1e-5, lat], [lon, lat + 1e-5], [lon, lat]]
        shape = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        given = self.client.put(f"/collections/parcels/items/{pk}", json=shape).raise_for_status().json()
        shown = {row["id"]: row["version"] for row in self.tile("parcels", lon, lat)}
        return shown.get(pk) == given["properties"]["version"]


@pytest.mark.soak
def test_an_editor_sees_each_edit_in_the_next_tile_while_replay_is_paused_at_random(
    cluster: LocalCluster, site: Site
) -> None:
    seed = random.SystemRandom().randrange(10**6)
    editor, other, seen = Editor(site.url, seed), Editor(site.url, seed), 0
    lag = Disturbance(cluster, seed, paused_seconds=PAUSED_SECONDS, between_seconds=BETWEEN_SECONDS, crashes=False)
    with lag:
        for number in range(EDITS):
            if number % 2:
                seen += editor.sees_the_shape_that_it_gives_a_parcel()
            else:
                seen += editor.sees_the_place_that_it_adds(None if number % OTHER_LOOKS else other)
    editor.close()
    other.close()
    reasons = ", ".join(f"{alias} {reason} {count}" for (alias, reason), count in editor.served.most_common())
    NOTES.append(f"edits seen in the next tile: {seen} of {EDITS}, {lag.pauses} pauses; {reasons}; seed {seed}")
    slowest = max(other.waited)
    NOTES.append(
        f"{len(other.waited)} of them seen by another browser, the last after {slowest:.1f} s of {MAX_LAG:g} s"
    )
    assert seen == EDITS
    assert slowest < MAX_LAG
    # It would be no proof if replicas had served none of them, or had never lagged.
    assert {alias for alias, _ in editor.served} >= REPLICAS
    assert ("default", "consistency") in editor.served


def test_another_browser_sees_an_edit_within_max_lag_and_what_it_takes_to_notice(
    cluster: LocalCluster, site: Site
) -> None:
    editor, other = Editor(site.url, 1), Editor(site.url, 2)
    for replica in REPLICAS:
        cluster.pause(replica)
    try:
        editor.sees_the_place_that_it_adds(other)
    finally:
        cluster.heal()
        editor.close()
        other.close()
    (seconds,), allowed = other.waited, MAX_LAG + 2 * INTERVAL
    NOTES.append(f"another browser saw an edit after {seconds:.1f} s of {allowed:g} s, with both replicas paused")
    assert seconds < allowed + NOISE_SECONDS
