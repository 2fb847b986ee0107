"""What do the servers of the clusters say when they are asked once, all at the same time?"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from django_gmf_router import checks
from django_gmf_router.doctor.findings import Finding
from django_gmf_router.doctor.node_questions import GONE, NOT_MIGRATED, OTHERWISE, Examined, findings_of_node
from django_gmf_router.doctor.site_questions import findings_of_site, of_check
from django_gmf_router.doctor.vitals import Examiner, Vitals
from django_gmf_router.postgres.dialects import CONTROL, MIGRATIONS
from django_gmf_router.postgres.sqlstates import cause_of
from django_gmf_router.replicas.pool import is_test_run
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.replicas.status import ROUNDS, Watch, watched
from django_gmf_router.schemas import advisories
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig

ROUNDS_OF_CHECK = 2
"""Who compares what servers hold needs no more; `migrate` runs these checks each time."""


def check_servers(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:  # noqa: ARG001
    """Report what is wrong with the servers of these aliases, as they say: `check --database ALIAS`."""
    # The databases of a test run are not the site's, and its replicas are mirrors, to which nothing is opened.
    if is_test_run():
        return []
    try:
        clusters = configuration.clusters()
    except ImproperlyConfigured:
        return []
    asked = {alias for alias in databases or () if connections[alias].vendor == "postgresql"}
    configs = [_among(config, asked) for config in clusters if config.aliases & asked]
    pairs = examined(configs, rounds=ROUNDS_OF_CHECK)
    found = [(node, finding.problem) for node, primary in pairs for finding in findings_of_node(node, primary)]
    return [problem for node, problem in found if problem and node.alias in asked and not _is_early(node, problem)]


def diagnose() -> list[Finding]:
    """Ask everything that can be asked; return what was found, without what SILENCED_SYSTEM_CHECKS names."""
    if wrong := [of_check(message) for message in checks.check_errors()]:
        return wrong
    configs = configuration.clusters()
    if not configs:
        return []
    found = list(findings_of_site(configs))
    for node, primary in examined(configs):
        found += findings_of_node(node, primary, _schemas)
    return [finding for finding in found if not (finding.problem and finding.problem.is_silenced())]


def examined(
    configs: Collection[ClusterConfig], rounds: int = ROUNDS, wall: Callable[[], float] = time.time
) -> list[tuple[Examined, Examined]]:
    """Ask all nodes at the same time; return each of them beside its primary.

    It takes what `gmf_status` takes. `wall`: this machine's clock.
    """
    tables = {config.primary: _tables(config) for config in configs}
    tables_of = {alias: tables[config.primary] for config in configs for alias in config.aliases}
    examiners: list[Examiner] = []

    def examiner(alias: str, timeout_seconds: float, address: Mapping[str, str]) -> Examiner:
        examiners.append(Examiner(alias, timeout_seconds, address, tables=tables_of[alias], wall=wall))
        return examiners[-1]

    with watched(configs, examiner, rounds) as watches:
        return [pair for watch in watches for pair in _pairs(watch, examiners)]


def _tables(config: ClusterConfig) -> list[str]:
    """Return the tables that the monitor reads, and those of the cluster's models."""
    homes = {app.label: configuration.cluster_of_app(app.label) for app in apps.get_app_configs()}
    own = {label for label, home in homes.items() if home is not None and home.primary == config.primary}
    models = apps.get_models(include_auto_created=True)
    return [CONTROL, MIGRATIONS, *(model._meta.db_table for model in models if model._meta.app_label in own)]


def _schemas(node: Examined, _primary: Examined) -> Iterator[Finding]:
    """Ask what `check --database` asks by a check of its own."""
    if not node.config.schemas:
        return
    try:
        found = [of_check(message, node.name) for message in advisories.check_server([node.alias])]
    except DatabaseError as error:
        yield node.wrong(GONE, f"gives no connection: {cause_of(error).rstrip('.')}.", OTHERWISE)
    else:
        yield from found or [node.fine("looks for tables in the schemas of SCHEMAS, and finds each where it belongs")]


def _pairs(watch: Watch, examiners: Iterable[Examiner]) -> Iterator[tuple[Examined, Examined]]:
    config, monitor = watch.config, watch.monitor
    of = {(examiner.alias, *examiner.address.values()): examiner for examiner in examiners}

    def node(alias: str, name: str) -> Examined:
        examiner = of.get((alias, *watch.addresses.params(name).values()))
        return Examined(
            name=name,
            alias=alias,
            config=config,
            health=monitor.health(name),
            reading=examiner.reading if examiner else Reading(up=False),
            vitals=examiner.vitals if examiner else Vitals(),
        )

    primary = node(config.primary, config.primary)
    yield primary, primary
    for alias in config.replica_aliases:
        for name in monitor.members(alias) or (alias,):
            yield node(alias, name), primary


def _among(config: ClusterConfig, aliases: Collection[str]) -> ClusterConfig:
    """Return the cluster with those of its replicas alone that are among these."""
    return replace(config, replicas=tuple(each for each in config.replicas if each.alias in aliases))


def _is_early(node: Examined, problem: CheckMessage) -> bool:
    """Return whether it is before the first `migrate`, which runs these checks and will make the table."""
    return problem.id == f"gmf_router.{NOT_MIGRATED}" and node.vitals.has_migrations is False
