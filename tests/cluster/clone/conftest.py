"""What do the tests of clone_schema share?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.clone.databases import SMALL, Database, create, drop

_numbers = itertools.count(1)


@pytest.fixture
def database(request: pytest.FixtureRequest, _gmf_session_cluster: LocalCluster) -> Iterator[Database]:
    """A database of its own for each test, with a small main schema, or what `indirect` says."""
    made = create(_gmf_session_cluster, f"clone_{next(_numbers)}", getattr(request, "param", SMALL))
    yield made
    drop(made)
