"""GeoDjango's PostGIS backend for the aliases of a cluster."""

from __future__ import annotations

from django.contrib.gis.db.backends.postgis import base

from django_gmf_router.backends.mixin import ReplicaConnectionMixin


class DatabaseWrapper(ReplicaConnectionMixin, base.DatabaseWrapper):
    """ENGINE "django_gmf_router.backends.postgis"."""
