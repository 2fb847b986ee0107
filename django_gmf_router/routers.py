"""Which alias does Django's ORM use for a query? The ORM edge; no logic."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import connections
from django.db.models import Model
from django.dispatch import receiver

from django_gmf_router import clusters
from django_gmf_router.routing import aliases, misses
from django_gmf_router.routing.policy import Answer
from django_gmf_router.routing.primary_models import is_primary_model
from django_gmf_router.settings.sections import OWN_APP

# Which cluster has a model does not change while the site runs, and the router is asked for each query.
READS: dict[type[Model], Answer] = {}
WRITES: dict[type[Model], Answer] = {}
"""What answers for each installed model, found when it is first asked for."""


class PrimaryReplicaRouter:
    """Django's four router methods, for `DATABASE_ROUTERS`.

    Each answers None for what belongs to no cluster with replicas: Django and the routers after this one decide.
    """

    def __init__(self) -> None:
        """Teach Django what the aliases mean that it gets from here."""
        aliases.install()
        misses.install()

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
        cluster = _cluster_of(first)
        return True if cluster is not None and _cluster_of(second) is cluster else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """Return False for another cluster's apps; a replica has all that its primary has.

        Commands that look at a replica ask too, `dumpdata` and `sqlflush`. To migrate one is refused by `migrate`.
        """
        try:
            cluster = clusters.of_alias(db)
        except ImproperlyConfigured:
            # Django's model checks ask, beside our own checks, which report what is wrong.
            return None
        if cluster is None:
            return None
        # Each cluster has a table of control states of its own.
        if app_label != OWN_APP and clusters.of_app(app_label) not in {None, cluster}:
            return False
        # makemigrations alone names a model without giving it, to know whose history to look at: the primary's will do.
        is_of_history = "model_name" in hints and "model" not in hints
        return False if db != cluster.config.primary and is_of_history else None


def _cluster_of(instance: Model) -> clusters.Cluster | None:
    """Return the cluster that `instance` came from; that of its model where its alias is configured no more."""
    alias = instance._state.db
    is_known = alias is not None and alias in connections.settings
    return clusters.of_alias(alias) if is_known else clusters.of_app(instance._meta.app_label)


def _reads_of(model: type[Model] | None) -> Answer:
    # A raw query may have none: Django asks for its alias where it is printed.
    if model is None:
        return _unrouted
    cluster = clusters.of_app(model._meta.app_label)
    if cluster is None:
        return _kept(READS, model, _unrouted)
    config, policy = cluster.config, cluster.policy
    if is_primary_model(config.primary_models, model):
        return _kept(READS, model, policy.read_primary_model)
    is_listed = config.replica_models is None or is_primary_model(config.replica_models, model)
    return _kept(READS, model, policy.read if is_listed else policy.read_unlisted)


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
