"""What do the tests with other people's API libraries share?"""

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
}
MISSING = [package for module, package in LIBRARIES.items() if find_spec(module) is None]


class Left(pytest.Module):
    """A module of tests that cannot be imported here."""

    def collect(self) -> Any:
        """Skip it, with what would bring it."""
        # A developer without these libraries still runs the other tests; in CI nobody comes here.
        pytest.skip(f"pip install {' '.join(MISSING)}", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Any, parent: Any) -> Any:
    """Leave the tests out where a library is missing; in CI, where nothing is skipped, they fail to be imported."""
    is_here = "apis" in module_path.parts
    return Left.from_parent(parent, path=module_path) if is_here and MISSING and not os.environ.get("CI") else None


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
