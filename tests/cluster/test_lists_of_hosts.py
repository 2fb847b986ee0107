"""Is the server of a list of hosts found that has the role, while another one takes connections and drops them?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import HOST, free_ports
from tests.chaos.proxy import Proxy
from tests.cluster.scripts import script
from tests.cluster.sites import DRIVERS, environment

SCRIPT = """
import json, sys, django
django.setup()
from django.db import connections
from django_gmf_router.replicas.probes import Probe
for line in sys.stdin:
    alias = line.strip()
    connections[alias].ensure_connection()
    port = connections[alias].connection.info.port
    connections[alias].close()
    print(json.dumps([port, Probe(alias).read().role]), flush=True)
"""
ROLES = {"default": ("read-write", "primary"), "replica_1": ("standby", "replica_1"), "replica_2": ("any", "replica_2")}


@pytest.fixture
def dropping(gmf_cluster: LocalCluster) -> Iterator[Proxy]:
    """A machine that takes connections and drops them, as one does whose server is being stopped."""
    with Proxy(gmf_cluster.port("replica_1")) as proxy:
        proxy.reset()
        yield proxy


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("alias", ROLES)
def test_the_others_of_a_list_are_tried(gmf_cluster: LocalCluster, dropping: Proxy, driver: str, alias: str) -> None:
    gmf_cluster.wait_for_replay()
    wanted, name = ROLES[alias]
    with script(SCRIPT, site(gmf_cluster, driver, {alias: after(dropping, gmf_cluster.port(name), wanted)})) as ask:
        port, role = json.loads(ask(alias))
    assert (port, role) == (gmf_cluster.port(name), "primary" if name == "primary" else "replica")


@pytest.mark.parametrize("driver", DRIVERS)
def test_so_are_those_of_the_alias_that_a_read_moves_to(
    gmf_cluster: LocalCluster, dropping: Proxy, driver: str
) -> None:
    gmf_cluster.wait_for_replay()
    (nobodys,) = free_ports(1)
    port = gmf_cluster.port("replica_2")
    changes = {"replica_1": {"PORT": str(nobodys)}, "replica_2": after(dropping, port, "any")}
    with script(SCRIPT, site(gmf_cluster, driver, changes)) as ask:
        assert json.loads(ask("replica_1")) == [port, None]


def after(dropping: Proxy, port: int, wanted: str) -> dict[str, Any]:
    """Return the change of an alias whose list names the machine that drops connections before another one."""
    return {
        "HOST": f"{HOST},{HOST}",
        "PORT": f"{dropping.port},{port}",
        "OPTIONS": {"target_session_attrs": wanted},
    }


def site(cluster: LocalCluster, driver: str, changes: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the environment of a process of a site some of whose aliases are others."""
    env = environment(cluster, driver)
    databases = json.loads(env["GMF_TEST_DATABASES"])
    changed = {alias: {**settings, **changes.get(alias, {})} for alias, settings in databases.items()}
    return {**env, "GMF_TEST_DATABASES": json.dumps(changed)}
