"""What of a replica whose pooler refuses startup parameters, as some providers' do? Reads go to the primary.

The engine says in `options` that a replica's session is read-only; PgBouncer refuses that unless it is told otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import free_ports, server_account
from django_gmf_router.testing.plugin import refuse
from tests.chaos.test_pooler import INI
from tests.cluster import programs
from tests.cluster.sites import DRIVERS, environment, manage, served

IGNORED = "ignore_startup_parameters = options, extra_float_digits\n"
ROUTER = {"REPLICAS": ["replica_1"]}


@pytest.fixture(scope="module")
def replica(migrated: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the settings say of a replica behind a PgBouncer that takes no `options`."""
    if lacking := programs.missing("pgbouncer"):
        refuse(lacking)
    account, (port,) = server_account(), free_ports(1)
    userlist, ini = (migrated.directory / name for name in ("refusing.txt", "refusing.ini"))
    entry = migrated.databases()["replica_1"]
    line = f"gmf = host=127.0.0.1 port={entry['PORT']} dbname={entry['NAME']}"
    account.write_private(userlist, f'"{entry["USER"]}" "{entry["PASSWORD"]}"\n')
    account.write_private(ini, INI.format(databases=line, port=port, userlist=userlist).replace(IGNORED, ""))
    log = Path(tmp_path_factory.mktemp("pgbouncer")) / "log"
    with programs.running([str(programs.find("pgbouncer")), str(ini)], port, log, account):
        yield {**entry, "PORT": str(port), "NAME": "gmf"}


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_primary_serves_and_the_status_says_why(
    migrated: LocalCluster, replica: dict[str, Any], driver: str
) -> None:
    env = environment(migrated, driver, router=ROUTER)
    databases = json.loads(env["GMF_TEST_DATABASES"])
    env = {**env, "GMF_TEST_DATABASES": json.dumps({"default": databases["default"], "replica_1": replica})}
    found = {node["alias"]: node for node in json.loads(manage(env, "gmf_status", "--json").stdout)}
    assert found["replica_1"]["state"] == "down"
    assert "unsupported startup parameter: options" in found["replica_1"]["error"]
    with served("gunicorn", env, workers=1) as site, urlopen(f"{site.url}/where") as response:
        looks = json.load(response)["looks"]
    assert {look["port"] for look in looks} == {migrated.port("primary")}
