"""What do readers notice when some of the addresses behind one name are dead, and when the name itself fails?

The name is in a hosts file of the test's own, which the web server sees in place of the machine's. Behind each address
stands a proxy before a replica of its own.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from django_gmf_router.postgres.libpq import CONNECT_TIMEOUT_SECONDS
from django_gmf_router.replicas.addresses import RESOLVE_SECONDS
from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import free_ports
from tests.chaos.conftest import fill
from tests.chaos.proxy import Proxy
from tests.chaos.runs import FAST_SECONDS, Run
from tests.chaos.sites import COMBINATIONS, HANG_SECONDS, INTERVAL, ChaosSite, chaos_site
from tests.waiting import until

NAME = "replicas.test"
ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
REPLICAS = ("replica_1", "replica_2", "replica_3")
OWN_SECONDS = 0.3
"""What a request takes by itself, and a test to look, on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A cluster whose replicas are behind one name: a proxy for each address, and the file that holds the name."""

    cluster: LocalCluster
    proxies: dict[str, Proxy]
    hosts: Path

    @property
    def ports(self) -> dict[str, int]:
        """The port of the replica behind each address."""
        return {address: self.cluster.port(node) for address, node in zip(ADDRESSES, REPLICAS, strict=True)}

    def resolve_to(self, *addresses: str) -> None:
        """Let the name have these addresses."""
        self.hosts.write_text("".join(f"{address} {NAME}\n" for address in addresses))

    def heal(self) -> None:
        self.resolve_to(*ADDRESSES)
        for proxy in self.proxies.values():
            proxy.pass_on()

    def site(self, server: str, driver: str) -> AbstractContextManager[ChaosSite]:
        """Serve the site, in whose eyes the hosts file is the test's."""
        (port,) = {proxy.port for proxy in self.proxies.values()}
        one_name = {"HOST": NAME, "PORT": port}
        return chaos_site(
            server,
            driver,
            self.cluster,
            aliases={"replica_1": one_name},
            router={"REPLICAS": {"replica_1": {"BALANCED": True}}},
            within=["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]), *self._bound()],
        )

    def _bound(self) -> list[str]:
        return ["sh", "-c", f'mount --bind {shlex.quote(str(self.hosts))} /etc/hosts && exec "$@"', "sh"]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Named]:
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(replicas=3))
        fill(cluster)
        (port,) = free_ports(1)
        proxies = {
            address: stack.enter_context(Proxy(cluster.port(node), host=address, port=port))
            for address, node in zip(ADDRESSES, REPLICAS, strict=True)
        }
        yield Named(cluster=cluster, proxies=proxies, hosts=tmp_path_factory.mktemp("hosts") / "hosts")


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def served_site(request: pytest.FixtureRequest, named: Named) -> Iterator[ChaosSite]:
    named.heal()
    with named.site(*request.param) as running:
        yield running


@pytest.fixture
def site(named: Named, served_site: ChaosSite) -> ChaosSite:
    named.heal()
    until(lambda: set(nodes_of(served_site)) == set(ADDRESSES), 4 * RESOLVE_SECONDS, "all addresses are watched")
    served_site.wait_until_whole()
    return served_site


def nodes_of(site: ChaosSite) -> list[str]:
    """Return the addresses that every worker watches."""
    known = [
        {re.sub(r".*@(.*):\d+", r"\1", node) for node in answer.body["nodes"] if "@" in node}
        for answer in site.each_worker("/monitor").values()
    ]
    return sorted(set.intersection(*known)) if len({frozenset(nodes) for nodes in known}) == 1 else []


def served_by(run: Run, since: float) -> set[int]:
    return {answer.body["port"] for answer in run.load.answers if answer.began > since and "port" in answer.body}


def test_connections_are_spread_over_all_addresses(site: ChaosSite, named: Named) -> None:
    # So many that each thread has a connection: two of a process would do for fewer, and two addresses for those.
    with Run(site, "one name, three addresses", clients=16, pause_seconds=0.0) as run:
        run.strike(lambda: None)
        run.go_on()
    run.check(FAST_SECONDS)
    assert served_by(run, 0.0) == set(named.ports.values())


def test_two_of_three_addresses_dead_fail_no_get_and_serve_again_within_two_intervals(
    site: ChaosSite, named: Named
) -> None:
    dead = ADDRESSES[:2]
    with Run(site, "two of three addresses dead") as run:
        run.strike(lambda: [named.proxies[address].refuse() for address in dead])
        run.go_on(2 * INTERVAL)
        assert served_by(run, time.monotonic() - INTERVAL) == {named.ports[ADDRESSES[2]]}
        returned = time.monotonic()
        for address in dead:
            named.proxies[address].pass_on()
        until(lambda: served_by(run, returned) == set(named.ports.values()), 20, "all addresses serve")
        back = time.monotonic() - returned
        run.note(f"spread again after {back:.2f} s")
    run.check(CONNECT_TIMEOUT_SECONDS)
    assert back <= 2 * INTERVAL + OWN_SECONDS


def test_addresses_that_swallow_everything_hold_only_what_was_in_them(site: ChaosSite, named: Named) -> None:
    with Run(site, "two of three addresses black-holed") as run:
        run.strike(lambda: [named.proxies[address].black_hole() for address in ADDRESSES[:2]])
        run.go_on(HANG_SECONDS + 1)
    run.check(HANG_SECONDS)
    run.check_fast_after(HANG_SECONDS)


@pytest.mark.parametrize(("server", "driver"), COMBINATIONS)
def test_a_process_that_starts_beside_dead_addresses_waits_one_connect_time_out_at_most(
    named: Named, server: str, driver: str
) -> None:
    named.heal()
    named.proxies[ADDRESSES[0]].refuse()
    named.proxies[ADDRESSES[1]].black_hole()
    with named.site(server, driver) as site:
        assert site.ask("/monitor").status == 200  # It has started, and has read nothing.
        with Run(site, "started beside dead addresses") as run:
            run.strike(lambda: None)
            run.go_on()
        run.check(CONNECT_TIMEOUT_SECONDS + OWN_SECONDS)
        assert not [answer for answer in run.baseline if answer.seconds > CONNECT_TIMEOUT_SECONDS + OWN_SECONDS]


def test_a_name_that_fails_keeps_its_addresses_and_one_that_changes_gives_new_ones(
    site: ChaosSite, named: Named
) -> None:
    with Run(site, "the name resolves to nothing, then to two addresses") as run:
        run.strike(named.resolve_to)
        until(lambda: run.log().count("does not resolve") == len(site.each_worker("/monitor")), 30, "it is logged")
        since = time.monotonic()
        run.go_on(2 * RESOLVE_SECONDS)
        assert served_by(run, since) == set(named.ports.values())
        named.resolve_to(*ADDRESSES[1:])
        until(lambda: nodes_of(site) == sorted(ADDRESSES[1:]), 30, "the new addresses are watched")
        changed = time.monotonic() + OWN_SECONDS
        until(lambda: len([a for a in run.load.answers if a.began > changed]) > 200, 30, "requests go on")
        assert served_by(run, changed) == {named.ports[address] for address in ADDRESSES[1:]}
    run.check(FAST_SECONDS)
    assert run.log().count("event=addresses") == 2 * len(site.each_worker("/monitor"))


def test_a_name_that_turns_among_addresses_fails_no_get(named: Named) -> None:
    """As Aurora's reader endpoint: each answer of the name server is one address, and the next one another."""
    named.heal()
    named.resolve_to(ADDRESSES[0])
    with named.site("gunicorn", "psycopg") as site:
        until(lambda: nodes_of(site) == [ADDRESSES[0]], 4 * RESOLVE_SECONDS, "the first address is watched")
        site.wait_until_whole()
        with Run(site, "one name, which turns among three addresses") as run:
            run.strike(lambda: None)
            for address in (*ADDRESSES[1:], ADDRESSES[0]):
                turn_to(run, named, address)
            primary = [a for a in run.load.answers if a.body.get("port") == named.cluster.port("primary")]
            run.note(f"{len(primary)} served by the primary")
        run.check(FAST_SECONDS)


def turn_to(run: Run, named: Named, address: str) -> None:
    """Let the name have one other address, and see that it serves."""
    named.resolve_to(address)
    until(lambda: nodes_of(run.site) == [address], 4 * RESOLVE_SECONDS, f"{address} is watched")
    turned = time.monotonic() + OWN_SECONDS
    until(lambda: len([a for a in run.load.answers if a.began > turned]) > 200, 30, "requests go on")
    assert served_by(run, turned) == {named.ports[address]}
