"""How do DATABASES and GMF_ROUTER come out of the environment or a GeoMapFish vars file?"""

from __future__ import annotations

from django_gmf_router.env.variables import databases, replica_of
from django_gmf_router.env.vars_file import databases_from_vars

__all__ = ["databases", "databases_from_vars", "replica_of"]
