"""What does a settings.py load that imports from this package?"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import django_gmf_router

SETTINGS = """
import sys
import {module}
late = ("django_gmf_router.routing", "django_gmf_router.replicas", "django.http", "django.db", "django.apps")
print([name for name in late if name in sys.modules])
"""


@pytest.mark.parametrize("module", ["django_gmf_router.env", "django_gmf_router.settings.values"])
def test_settings_load_neither_routing_nor_djangos_requests_and_models(module: str) -> None:
    command = [sys.executable, "-c", SETTINGS.format(module=module)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


SITE = """
import sys
import django
django.setup()
import django_gmf_router.own_writes.jobs, django_gmf_router.middleware, django_gmf_router.contrib
print([name for name in ("celery", "debug_toolbar", "graphql", "kombu", "redis") if name in sys.modules])
"""


def test_a_site_loads_no_library_that_it_did_not_ask_for() -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-c", SITE]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=env)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", django_gmf_router.__all__)
def test_every_public_name_is_there_when_it_is_asked_for(name: str) -> None:
    assert getattr(django_gmf_router, name).__name__ == name


def test_what_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'use_secondary'"):
        django_gmf_router.use_secondary  # noqa: B018
