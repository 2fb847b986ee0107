"""What do the tests of tenants share? A cluster for each way to keep two tenants apart, and the site on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Answer, Client
from tests.cluster.sites import Site, environment, manage, served
from tests.cluster.tenants.rows.base import PAGE
from tests.unit.docs.pages import blocks

TENANTS = {"amt": 3, "bau": 5}
"""How many parcels each has."""
CUSTOMERS = """
from django_tenants.utils import tenant_context
from tests.parcels.models import Parcel
from tests.tenants.models import Customer, Domain
for tenant, count in {tenants}.items():
    customer = Customer.objects.create(schema_name=tenant)
    Domain.objects.create(tenant=customer, domain=tenant + ".test")
    with tenant_context(customer):
        Parcel.objects.bulk_create([Parcel(tenant=tenant)] * count)
"""


def rows(cluster: LocalCluster, env: dict[str, str]) -> None:
    """Keep the tenants apart by policies, as the page says."""
    done = manage(env, "migrate", "--verbosity=0")
    assert done.returncode == 0, done.stderr
    for tenant, count in TENANTS.items():
        sql = f"INSERT INTO parcels_parcel (tenant) SELECT '{tenant}' FROM generate_series(1, {count})"
        cluster.execute("primary", sql)
    (policy,) = blocks(PAGE, "sql")
    cluster.execute("primary", policy.text)


def schemas(cluster: LocalCluster, env: dict[str, str]) -> None:
    """Keep the tenants apart by schemas."""
    for command in (
        ["migrate_schemas", "--shared", "--verbosity=0"],
        ["shell", "--verbosity=0", "-c", CUSTOMERS.format(tenants=TENANTS)],
    ):
        done = manage(env, *command)
        assert done.returncode == 0, done.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """A cluster with two tenants, and how a process of its site is set up."""

    name: str
    cluster: LocalCluster

    def environment(self, driver: str = "psycopg", **database: object) -> dict[str, str]:
        router = {"HEALTH": {"INTERVAL": 0.5, "TIMEOUT": 2.0}}
        env = environment(self.cluster, driver, router, f"tests.cluster.tenants.{self.name}", **database)
        return {**env, "DJANGO_SETTINGS_MODULE": f"tests.cluster.tenants.{self.name}_settings"}

    def served(self, server: str, driver: str, **database: object) -> AbstractContextManager[Site]:
        return served(server, self.environment(driver, **database))


WAYS: dict[str, Callable[[LocalCluster, dict[str, str]], None]] = {"rows": rows, "schemas": schemas}


@pytest.fixture(scope="package", params=WAYS)
def standing(request: pytest.FixtureRequest) -> Iterator[Tenancy]:
    """A cluster with its tenants, for each way."""
    with LocalCluster() as cluster:
        tenancy = Tenancy(name=request.param, cluster=cluster)
        WAYS[tenancy.name](cluster, tenancy.environment())
        cluster.wait_for_replay()
        yield tenancy


@pytest.fixture
def tenancy(standing: Tenancy) -> Iterator[Tenancy]:
    """The same, whole after each test."""
    yield standing
    standing.cluster.heal()


def ask(site: Site, tenant: str, path: str, method: str = "GET") -> Answer:
    """Ask once for a tenant, on a connection of its own."""
    client = Client(site.url, method=method, headers={"Host": f"{tenant}.test"})
    try:
        return client.ask(path)
    finally:
        client.close()


def wrong(tenant: str, answers: list[Answer]) -> list[str]:
    """Return the answers that are no page with all parcels of the tenant, read twice, and no other."""
    expected = [tenant] * 2 * TENANTS[tenant]
    return [f"{tenant}: {answer}" for answer in answers if answer.body.get("tenants") != expected]
