"""Does django-health-check, the library itself, report the clusters as its check says?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import path

from django_gmf_router import clusters
from django_gmf_router.replicas.monitor import Monitor

HealthCheckView = pytest.importorskip("health_check.views", reason="pip install django-health-check").HealthCheckView
CHECK = "django_gmf_router.contrib.health_check.Clusters"


def a_view(level: int, **options: Any) -> Any:
    return HealthCheckView.as_view(checks=[(CHECK, {"max_level": level})], **options)


urlpatterns = [
    path("strict", a_view(1)),
    path("serving", a_view(1, warnings_as_errors=False)),
    path("nodes", a_view(2)),
]


@pytest.fixture
def monitor(unmirrored: None) -> Iterator[Monitor]:
    """The monitor of a cluster of which nothing is known, and which nobody watches."""
    router = {"default": {"REPLICAS": ["replica_1", "replica_2"]}}
    with override_settings(GMF_ROUTER=router, ROOT_URLCONF=__name__):
        (cluster,) = clusters.registry().clusters
        yield cluster.monitor


def answer(client: Client, page: str) -> tuple[int, str]:
    response = client.get(f"/{page}?format=json")
    (said,) = response.json().values()
    return response.status_code, said


def test_what_is_ok_is_ok(monitor: Monitor, client: Client) -> None:
    assert answer(client, "strict") == (200, "OK")
    assert answer(client, "nodes") == (200, "OK")


def test_a_dead_replica_is_a_warning_of_level_2(monitor: Monitor, client: Client) -> None:
    monitor.report_failure("replica_1", "10.0.0.7 refused")
    assert answer(client, "strict") == (200, "OK")
    assert answer(client, "nodes") == (500, "Warning: node:replica_1 down")


def test_a_dead_primary_is_a_warning(monitor: Monitor, client: Client) -> None:
    monitor.report_failure("default", "10.0.0.7 refused")
    assert answer(client, "serving") == (200, "Warning: cluster:default degraded")
    assert answer(client, "strict")[0] == 500


def test_where_no_node_answers_it_is_unavailable(monitor: Monitor, client: Client) -> None:
    for alias in ("default", "replica_1", "replica_2"):
        monitor.report_failure(alias, "10.0.0.7 refused")
    assert answer(client, "serving") == (500, "Unavailable: cluster:default down")
