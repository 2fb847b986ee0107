"""How do a site's tests get a local cluster from pytest?

Nothing is imported at load time: the plugin is loaded into every test run of its environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django_gmf_router.testing.cluster import LocalCluster

REPLICAS = 2


@pytest.fixture(scope="session")
def _gmf_session_cluster() -> Iterator[LocalCluster]:
    """The cluster of a test run; with pytest-xdist each worker has its own."""
    from django_gmf_router.testing.machine import INSTALL, LocalClusterError, find_programs  # noqa: PLC0415

    try:
        from django_gmf_router.testing.cluster import LocalCluster  # noqa: PLC0415

        find_programs()
    except LocalClusterError as error:
        refuse(str(error))
    except ModuleNotFoundError as error:
        refuse(f"{error.name} is missing: {INSTALL}")
    with LocalCluster(REPLICAS) as cluster:
        yield cluster


@pytest.fixture
def gmf_cluster(_gmf_session_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A PostgreSQL primary and two streaming replicas, whole at the start of every test.

    Started once for a test run. What a test breaks is mended after it; what it writes stays.
    """
    yield _gmf_session_cluster
    _gmf_session_cluster.heal()


def refuse(reason: str) -> None:
    """Skip a test that cannot have a cluster; in CI, where nothing is skipped silently, fail it."""
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)  # A developer without PostgreSQL still runs the other tests.
    pytest.fail(reason, pytrace=False)
