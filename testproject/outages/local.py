"""Which cluster may be broken here? That of `make demo`, and no other: nothing of this stands on a server."""

from __future__ import annotations

import os
from functools import cache

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.testing import LocalCluster

VARIABLE = "GMF_DEMO_CLUSTER"

if VARIABLE not in os.environ:
    raise ImproperlyConfigured(
        f"testproject.outages kills database servers: it is for make demo, which sets {VARIABLE}."
    )


@cache
def cluster() -> LocalCluster:
    """Return the cluster of the demo: by its directory, in which no other server than its own can be named."""
    return LocalCluster.attach(os.environ[VARIABLE])
