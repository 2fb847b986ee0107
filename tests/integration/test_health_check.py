"""Does django-health-check, the library itself, report the clusters as its check says?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client, override_settings
from django.urls import path

from django_gmf_router import clusters
from django_gmf_router.replicas.monitor import Monitor

HealthCheckView = pytest.importorskip("health_check.views", reason="pip install django-health-check").HealthCheckView
CHECK = "django_gmf_router.contrib.health_check.Clusters"


urlpatterns = [
    path("serving", HealthCheckView.as_view(checks=[CHECK])),
    path("nodes", HealthCheckView.as_view(checks=[(CHECK, {"max_level": 2})])),
]
NODES = ("default", "replica_1", "replica_2")


@pytest.fixture
def monitor(unmirrored: None) -> Iterator[Monitor]:
    """The monitor of a cluster of which nothing is known, and which nobody watches."""
    router = {"default": {"REPLICAS": list(NODES[1:])}}
    with override_settings(GMF_ROUTER=router, ROOT_URLCONF=__name__):
        (cluster,) = clusters.registry().clusters
        yield cluster.monitor


def answer(client: Client, page: str) -> tuple[int, str]:
    response = client.get(f"/{page}?format=json")
    (said,) = response.json().values()
    return response.status_code, said


@pytest.mark.parametrize("page", ["serving", "nodes"])
def test_what_is_ok_is_ok(monitor: Monitor, client: Client, page: str) -> None:
    assert answer(client, page) == (200, "OK")


@pytest.mark.parametrize(
    ("dead", "said"),
    [
        (NODES[1:2], "Warning: node:replica_1 down"),
        (NODES[:1], "Warning: cluster:default degraded, node:default down"),
        (NODES[1:], "Warning: cluster:default degraded, node:replica_1 down, node:replica_2 down"),
    ],
)
def test_a_dead_node_is_a_warning_of_level_2_and_nothing_to_a_load_balancer(
    monitor: Monitor, client: Client, dead: tuple[str, ...], said: str
) -> None:
    for alias in dead:
        monitor.report_failure(alias, "10.0.0.7 refused")
    assert answer(client, "serving") == (200, "OK")
    assert answer(client, "nodes") == (500, said)


def test_where_no_node_answers_it_is_unavailable(monitor: Monitor, client: Client) -> None:
    for alias in NODES:
        monitor.report_failure(alias, "10.0.0.7 refused")
    assert answer(client, "serving") == (500, "Unavailable: cluster:default down")
    assert answer(client, "nodes")[0] == 500
