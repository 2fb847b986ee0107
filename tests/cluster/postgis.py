"""On which cluster do the tests with PostGIS run? Which are left out without it, `make test` says at its beginning."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from testproject.postgis import REMEDY, bin_dir, missing, missing_for_the_map


@contextmanager
def standing(replicas: int = 2) -> Iterator[LocalCluster]:
    """Start a cluster whose database has the extension."""
    if lacking := missing():
        refuse(f"PostGIS is needed: {lacking}: {REMEDY}")
    with LocalCluster(replicas, bin_dir=bin_dir()) as running:
        running.execute("primary", "CREATE EXTENSION postgis", timeout_seconds=60)
        yield running


@contextmanager
def standing_for_the_map() -> Iterator[LocalCluster]:
    """Start one on which the demo's map can stand."""
    if lacking := missing_for_the_map():
        refuse(f"the map needs {lacking}")
    with standing() as running:
        yield running


def environment_of_the_map(cluster: LocalCluster, **more: str) -> dict[str, str]:
    """Return the environment of the demo site on the cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "DJANGO", "GMF"))}
    primary, *replicas = [cluster.url(node).replace("postgres://", "postgis://") for node in cluster.nodes]
    return {**kept, "DATABASE_URL": primary, "DATABASE_REPLICA_URLS": ",".join(replicas), **more}


if __name__ == "__main__" and (lacking := missing()):
    print(f"* tests/cluster/test_postgis.py is left out: it needs {lacking}: {REMEDY}")
