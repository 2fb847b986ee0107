"""How does REST framework's suite run with this package inside, and how does each of its tests end? A pytest plugin.

It is no part of the package `tests`, which has the name of REST framework's own, and which that has to find.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.conf import LazySettings

VARIANT = os.environ["GMF_SUITE_VARIANT"]
OUTCOMES: dict[str, dict[str, str]] = {}
# The suite's conftest knows a PostgreSQL by the name of Django's engine alone.
NO_POSTGRES = "Requires PostgreSQL database backend"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let the suite's conftest, which comes after this and has its settings in a function, set up this variant."""
    configure = LazySettings.configure

    def configured(settings: LazySettings, **options: Any) -> None:
        for database in options["DATABASES"].values():
            database["TEST"] = {"NAME": f"test_{VARIANT}"}
        configure(settings, **(options if VARIANT == "stock" else with_us(options)))

    patch = mock.patch.object(LazySettings, "configure", configured)
    patch.start()
    config.add_cleanup(patch.stop)


def with_us(options: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the same site whose "default" is a cluster of one replica, a mirror as in all tests."""
    databases = options["DATABASES"]
    for database in databases.values():
        database["ENGINE"] = "django_gmf_router.backends.postgresql"
    databases["replica"] = {**databases["default"], "TEST": {"MIRROR": "default"}}
    return {
        **options,
        "DATABASE_ROUTERS": ["django_gmf_router.routers.PrimaryReplicaRouter"],
        "GMF_ROUTER": {"default": {"REPLICAS": ["replica"]}},
        "MIDDLEWARE": ("django_gmf_router.middleware.RoutingMiddleware", *options["MIDDLEWARE"]),
        "INSTALLED_APPS": (*options["INSTALLED_APPS"], "django.contrib.postgres", "django_gmf_router"),
    }


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what was left out since the engine has another name."""
    for item in items:
        item.own_markers = [mark for mark in item.own_markers if mark.kwargs.get("reason") != NO_POSTGRES]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Give every read of a test the replica's role where the variant says so: most of them make no request."""
    from django_gmf_router import use_replica

    with use_replica() if VARIANT == "use_replica" else nullcontext():
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep how a test ended; of one that ended twice, as by its subtests, the worst."""
    if report.failed:
        OUTCOMES[report.nodeid] = {"outcome": "failure", "said": report.longreprtext}
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else getattr(report, "wasxfail", "")
        OUTCOMES.setdefault(report.nodeid, {"outcome": "skipped", "said": reason})
    elif report.when == "call":
        OUTCOMES.setdefault(report.nodeid, {"outcome": "passed", "said": ""})


def pytest_sessionfinish() -> None:
    """Write the outcomes where they are looked for."""
    Path(os.environ["GMF_SUITE_OUTCOMES"]).write_text(json.dumps(OUTCOMES), encoding="utf-8")
