"""Django's PostgreSQL backend for the aliases of a cluster."""

from __future__ import annotations

from django.db.backends.postgresql import base

from django_gmf_router.backends.mixin import ReplicaConnectionMixin


class DatabaseWrapper(ReplicaConnectionMixin, base.DatabaseWrapper):
    """ENGINE "django_gmf_router.backends.postgresql"."""
