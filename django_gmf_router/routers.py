"""Which alias does Django's ORM use for a query? The ORM edge; no logic."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db.models import Model
from django.dispatch import receiver

from django_gmf_router import clusters
from django_gmf_router.routing.policy import Answer
from django_gmf_router.routing.primary_models import is_primary_model

READS: dict[type[Model], Answer] = {}
WRITES: dict[type[Model], Answer] = {}
"""What answers for each installed model, found when it is first asked for."""


class PrimaryReplicaRouter:
    """Django's four router methods, for `DATABASE_ROUTERS`.

    Each answers None for what belongs to no cluster with replicas: Django and the routers after this one decide.
    """

    def db_for_read(self, model: type[Model], instance: Model | None = None, **hints: Any) -> str | None:  # noqa: ARG002
        """Return the alias for a read: the primary's or that of the replica this unit of work has."""
        try:
            read = READS[model]
        except KeyError:
            read = _reads_of(model)
        return read(model, instance)

    def db_for_write(self, model: type[Model], instance: Model | None = None, **hints: Any) -> str | None:  # noqa: ARG002
        """Return the primary's alias; asking is no write, since Django asks where nothing is written."""
        try:
            write = WRITES[model]
        except KeyError:
            write = _writes_of(model)
        return write(model, instance)

    def allow_relation(self, first: Model, second: Model, **hints: Any) -> bool | None:  # noqa: ARG002
        """Return True within one cluster: its aliases are one database."""
        cluster = clusters.of_alias(first._state.db)
        return True if cluster is not None and second._state.db in cluster.policy.aliases else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:  # noqa: ARG002
        """Return False for replicas, which receive migrations from their primary, and for another cluster's apps."""
        try:
            cluster = clusters.of_alias(db)
        except ImproperlyConfigured:
            # Django's model checks ask, beside our own checks, which report what is wrong.
            return None
        if cluster is None:
            return None
        is_elsewhere = db != cluster.config.primary or clusters.of_app(app_label) not in {None, cluster}
        return False if is_elsewhere else None


def _reads_of(model: type[Model]) -> Answer:
    cluster = clusters.of_app(model._meta.app_label)
    if cluster is None:
        return _kept(READS, model, _unrouted)
    is_primary = is_primary_model(cluster.config.primary_models, model)
    return _kept(READS, model, cluster.policy.read_primary_model if is_primary else cluster.policy.read)


def _writes_of(model: type[Model]) -> Answer:
    cluster = clusters.of_app(model._meta.app_label)
    return _kept(WRITES, model, _unrouted if cluster is None else cluster.policy.write)


def _kept(answers: dict[type[Model], Answer], model: type[Model], answer: Answer) -> Answer:
    # Stand-ins, which have nothing but `_meta`, and historical models come and go: a table that kept them would grow.
    if getattr(model._meta, "apps", None) is apps:
        answers[model] = answer
    return answer


def _unrouted(_model: type[Model], _instance: Model | None) -> None:
    """Leave a model of no cluster to Django and to the routers after ours."""


@receiver(setting_changed)
def _reset(**kwargs: Any) -> None:  # noqa: ARG001
    READS.clear()
    WRITES.clear()
