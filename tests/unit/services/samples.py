"""What do the tests of the services build their clusters from?"""

from __future__ import annotations

import random
from typing import Any

from django_gmf_router.services.served_clusters import ServedCluster, served_cluster
from django_gmf_router.settings import values

PASSWORD = "geheim"
ENTRY = {
    "ENGINE": "django_gmf_router.backends.postgresql",
    "NAME": "gmf",
    "USER": "gmf",
    "PASSWORD": PASSWORD,
    "HOST": "db1",
    "PORT": "",
}


def entry(**changes: Any) -> dict[str, Any]:
    return {**ENTRY, **changes}


def cluster(
    *replicas: dict[str, Any], primary: dict[str, Any] | None = None, dice: random.Random | None = None, **settings: Any
) -> ServedCluster:
    """Build a cluster of the primary `default` and replicas called replica_1 and on."""
    databases = {"default": primary or entry()}
    databases |= {f"replica_{number}": replica for number, replica in enumerate(replicas, 1)}
    settings.setdefault("REPLICAS", [alias for alias in databases if alias != "default"])
    return served_cluster(values.parse("default", settings), databases, dice)


def three(**settings: Any) -> ServedCluster:
    """Build a primary db1 and replicas db2, db3."""
    return cluster(entry(HOST="db2"), entry(HOST="db3"), **settings)
