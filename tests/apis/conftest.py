"""What do the tests with other people's API and cloud libraries share?"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import pytest
from django.test import override_settings

LIBRARIES = {
    "graphene_django": "graphene-django",
    "strawberry_django": "strawberry-graphql-django",
    "rest_framework": "djangorestframework",
    "waffle": "django-waffle",
    "channels": "channels",
    "sentry_sdk": "sentry-sdk",
    "boto3": "boto3",
    "google.auth": "google-auth[requests]",
    "azure.identity": "azure-identity",
}


def is_here(module: str) -> bool:
    """Return whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even what it is in
        return False


MISSING = [package for module, package in LIBRARIES.items() if not is_here(module)]


class Left(pytest.Module):
    """A module of tests that cannot be imported here."""

    def collect(self) -> Any:
        """Skip it, with what would bring it."""
        # A developer without these libraries still runs the other tests; in CI nobody comes here.
        pytest.skip(f"pip install {' '.join(MISSING)}", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Any, parent: Any) -> Any:
    """Leave the tests out where a library is missing; in CI, where nothing is skipped, they fail to be imported."""
    is_left = "apis" in module_path.parts and MISSING and not os.environ.get("CI")
    return Left.from_parent(parent, path=module_path) if is_left else None


@pytest.fixture
def routed() -> Any:
    """Return what configures the cluster, and serves the site of these tests."""

    def routed(**entry: Any) -> Any:
        from django.conf import settings

        return override_settings(
            ROOT_URLCONF="tests.apis.urls",
            GMF_ROUTER={"default": {"REPLICAS": ["replica_1", "replica_2"], "DEBUG_HEADER": "X-GMF-Database", **entry}},
            INSTALLED_APPS=[*dict.fromkeys([*settings.INSTALLED_APPS, "rest_framework"])],
        )

    return routed
