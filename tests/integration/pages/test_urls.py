"""Do the URLs that the pages show lead where the pages say, and do the tests that they show pass and fail?"""

from __future__ import annotations

import sys
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from django_gmf_router import clusters
from django_gmf_router.testing.plugin import refuse
from tests.books.models import Author
from tests.unit.docs.running import run_example

pytestmark = pytest.mark.django_db
METRICS = "docs/how-to/metrics-and-alerts.md"


@contextmanager
def urls(patterns: list[Any], **settings: Any) -> Iterator[Client]:
    """Serve these URLs."""
    module = ModuleType("urls_of_a_page")
    module.urlpatterns = patterns  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        with override_settings(ROOT_URLCONF=module.__name__, **settings):
            yield Client()
    finally:
        del sys.modules[module.__name__]


def test_a_load_balancer_finds_the_view_and_gets_the_answer_that_the_page_shows() -> None:
    names = run_example("docs/how-to/load-balancer-health-checks.md", "django_gmf_router.urls")
    with urls(names["urlpatterns"]) as client:
        answer = client.get("/gmf/health")
    assert answer.json() == {"status": "ok", "checks": {"cluster:default": {"status": "ok"}}}
    assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"


def test_the_status_page_is_where_its_page_says_for_staff() -> None:
    names = run_example("docs/how-to/status-page.md", "# urls.py")
    with urls(names["urlpatterns"]) as client:
        assert client.get("/gmf/status").status_code in {302, 403}
        client.force_login(User.objects.create_superuser("ada"))
        assert client.get("/gmf/status").status_code == 200
        assert b"Status of the clusters" in client.get("/admin/").content


def test_operators_may_steer_as_the_page_lets_them() -> None:
    run_example("docs/how-to/status-page.md", "operators.permissions.add(control)")
    user = User.objects.create_user("ada")
    assert not user.has_perm("gmf_router.control")
    user.groups.add(Group.objects.get(name="operators"))
    assert User.objects.get(pk=user.pk).has_perm("gmf_router.control")


def test_prometheus_may_ask_from_the_networks_of_the_page_and_from_no_other() -> None:
    if find_spec("prometheus_client") is None:
        refuse("the Python package prometheus-client is needed: pip install prometheus-client")
    names = run_example(METRICS, "urlpatterns") | run_example(METRICS, "GMF_METRICS_ALLOW")
    with urls(names["urlpatterns"], GMF_METRICS_ALLOW=names["GMF_METRICS_ALLOW"]) as client:
        answers = {host: client.get("/metrics", REMOTE_ADDR=host) for host in ("127.0.0.1", "10.20.3.4", "10.21.3.4")}
    assert {host: answer.status_code for host, answer in answers.items()} == {
        "127.0.0.1": 200,
        "10.20.3.4": 200,
        "10.21.3.4": 403,
    }
    assert b"gmf_router_" in answers["10.20.3.4"].content


@pytest.mark.usefixtures("unmirrored")
def test_health_checks_fail_and_warn_at_the_levels_that_the_page_gives_them() -> None:
    if find_spec("health_check") is None:
        refuse("the Python package django-health-check is needed: pip install django-health-check")
    names = run_example("docs/reference/http.md", "HealthCheckView")
    with urls(names["urlpatterns"], GMF_ROUTER={"default": {"REPLICAS": ["replica_1"]}}) as client:
        monitor = clusters.registry().clusters[0].monitor
        codes = [[client.get(f"/{page}/?format=json").status_code for page in ("ready", "health")]]
        for node in ("replica_1", "default"):
            monitor.report_failure(node, "refused")
            codes.append([client.get(f"/{page}/?format=json").status_code for page in ("ready", "health")])
    assert codes == [[200, 200], [200, 500], [500, 500]]


# The tests of a site


def places(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Author.objects.count()))


def places_and_write(request: HttpRequest) -> HttpResponse:
    Author.objects.create(name="seen")
    return places(request)


def outcome(case: type[unittest.TestCase]) -> tuple[int, int]:
    """Run a test case as a site does, and return how many of its tests ran, and how many of them failed."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert result.errors == []
    return result.testsRun, len(result.failures)


@pytest.mark.parametrize(
    ("case", "tests"),
    [
        (run_example("docs/how-to/test-your-site.md", "class PlacesTests")["PlacesTests"], 2),
        (run_example("docs/how-to/in-development.md", "class PlacesTests")["PlacesTests"], 1),
    ],
    ids=["test-your-site", "in-development"],
)
def test_the_tests_of_a_page_pass_and_fail_where_the_page_reads_elsewhere(
    case: type[unittest.TestCase], tests: int
) -> None:
    with urls([path("places", places), path("s/abc", places)]):
        assert outcome(case) == (tests, 0)
    with urls([path("places", places_and_write), path("s/abc", places)]):
        assert outcome(case) == (tests, 1)
