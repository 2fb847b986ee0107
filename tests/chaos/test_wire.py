"""What do readers notice when the wire to a replica fails? A proxy stands between replica_1's alias and its server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.proxy import Proxy
from tests.chaos.runs import FAST_SECONDS, RETURN_SECONDS, Run
from tests.chaos.sites import COMBINATIONS, HANG_SECONDS, TIMEOUT, ChaosSite, chaos_site, once


@pytest.fixture(scope="module")
def proxy(library: LocalCluster) -> Iterator[Proxy]:
    with Proxy(library.port("replica_1")) as running:
        yield running


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def served_site(request: pytest.FixtureRequest, library: LocalCluster, proxy: Proxy) -> Iterator[ChaosSite]:
    """The site, whose replica_1 is behind the proxy."""
    with chaos_site(*request.param, library, aliases={"replica_1": {"PORT": proxy.port}}) as running:
        yield running


@pytest.fixture
def wire(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy, whose wire is good at the start of every test."""
    proxy.pass_on()
    yield proxy
    proxy.pass_on()


@pytest.fixture
def site(wire: Proxy, served_site: ChaosSite, cluster: LocalCluster) -> ChaosSite:
    """The site on the whole cluster."""
    served_site.wait_until_whole()
    return served_site


def test_no_get_fails_when_connections_are_reset(site: ChaosSite, cluster: LocalCluster, wire: Proxy) -> None:
    with Run(site, "connections reset") as run:
        run.strike(wire.reset)
        run.go_on()
        wire.pass_on()
        back = run.serves_again(cluster.port("replica_1"), time.monotonic())
    run.check(FAST_SECONDS)
    assert back <= RETURN_SECONDS


@once
def test_no_get_fails_when_open_connections_are_reset_again_and_again(site: ChaosSite, wire: Proxy) -> None:
    with Run(site, "open connections reset") as run:
        run.strike(wire.cut)
        for answered in range(len(run.load.answers), 1000, 50):
            run.load.wait_for(answered)
            wire.cut()
        run.go_on()
    run.check(FAST_SECONDS)


@once
def test_no_get_fails_when_the_server_is_not_listening(site: ChaosSite, cluster: LocalCluster, wire: Proxy) -> None:
    with Run(site, "connections refused") as run:
        run.strike(wire.refuse)
        run.go_on()
        wire.pass_on()
        back = run.serves_again(cluster.port("replica_1"), time.monotonic())
    run.check(FAST_SECONDS)
    assert back <= RETURN_SECONDS


def test_a_black_hole_holds_only_what_was_in_it(site: ChaosSite, cluster: LocalCluster, wire: Proxy) -> None:
    with Run(site, "replica black-holed") as run:
        run.strike(wire.black_hole)
        run.go_on(HANG_SECONDS + 1)
        wire.pass_on()
        back = run.serves_again(cluster.port("replica_1"), time.monotonic())
    run.check(HANG_SECONDS)
    run.check_fast_after(HANG_SECONDS)
    assert back <= RETURN_SECONDS


def test_a_wire_slower_than_the_time_out_is_as_bad_as_none(site: ChaosSite, cluster: LocalCluster, wire: Proxy) -> None:
    with Run(site, "wire slow beyond TIMEOUT") as run:
        run.strike(lambda: wire.slow(TIMEOUT + 1))
        run.go_on(HANG_SECONDS + 1)
    run.check(HANG_SECONDS)
    run.check_fast_after(HANG_SECONDS)
    assert cluster.port("replica_1") not in {answer.body["port"] for answer in run.begun_after(HANG_SECONDS)}


@once
def test_a_wire_slower_than_usual_fails_nothing(site: ChaosSite, wire: Proxy) -> None:
    with Run(site, "wire slow by 10 ms") as run:
        run.strike(lambda: wire.slow(0.01))
        run.go_on()
    run.check(HANG_SECONDS)
