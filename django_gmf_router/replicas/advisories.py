"""Which servers are not what the settings say? Django's system checks of this room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.db.migrations.recorder import MigrationRecorder

from django_gmf_router.postgres.dialects import CONTROL
from django_gmf_router.replicas.health import stranger
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig


def check_servers(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Report replicas that hold something else than their primary, as the servers say: `check --database ALIAS`."""
    try:
        clusters = configuration.clusters()
    except ImproperlyConfigured:
        return []
    rules = (_strangers, _not_steered)
    return [message for cluster in clusters for rule in rules for message in rule(cluster, databases or ())]


def _strangers(cluster: ClusterConfig, databases: Sequence[str]) -> Iterator[CheckMessage]:
    replicas = [alias for alias in cluster.replica_aliases if alias in databases]
    primary = _reading(cluster.primary, cluster) if replicas else None
    for alias in replicas:
        if primary and (strange := stranger(_reading(alias, cluster), primary)):
            yield _no_replica(alias, cluster.primary, strange)


def _not_steered(cluster: ClusterConfig, databases: Sequence[str]) -> Iterator[CheckMessage]:
    connection = connections[cluster.primary]
    if cluster.primary not in databases or connection.vendor != "postgresql":
        return
    try:
        tables = connection.introspection.table_names()
    except DatabaseError:
        return  # A server that is away is no mistake of settings.
    # Before the first `migrate` all tables are missing.
    if MigrationRecorder.Migration._meta.db_table in tables and CONTROL not in tables:
        yield _no_control(cluster.primary)


def _no_control(primary: str) -> CheckMessage:
    message = f"The database {primary!r} has no table {CONTROL}: gmf_control steers nothing there."
    return _made(Warning, "W018", message, "Run `manage.py migrate`, then restart the web servers.")


def _no_replica(alias: str, primary: str, strange: str) -> CheckMessage:
    message = f"DATABASES[{alias!r}] is no replica of {primary!r}. {strange}"
    return _made(Error, "E022", message, "Correct its HOST, PORT or NAME: it gets no reads.")


def _reading(alias: str, cluster: ClusterConfig) -> Reading:
    """Return what a server says of itself; of one that does not answer, which is no mistake of settings, nothing."""
    probe = Probe(alias, cluster.health.timeout)
    try:
        return probe.read()
    finally:
        probe.close()


def _made(kind: type[Error] | type[Warning], check: str, message: str, hint: str) -> CheckMessage:
    return kind(message, hint=hint, id=f"gmf_router.{check}")
