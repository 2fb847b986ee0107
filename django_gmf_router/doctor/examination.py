"""Do the settings and the processes of this site fit together, and what do its servers say when they are asked once?"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.apps import apps
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.checks import (
    CheckMessage,
    Warning,  # noqa: A004
)
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.utils.encoding import force_bytes

from django_gmf_router.doctor import Finding, Verdict, checks
from django_gmf_router.doctor.node_questions import GONE, NOT_MIGRATED, OTHERWISE, Examined, findings_of_node
from django_gmf_router.doctor.vitals import Examiner, Vitals
from django_gmf_router.postgres.dialects import CONTROL, MIGRATIONS
from django_gmf_router.postgres.sqlstates import cause_of
from django_gmf_router.replicas.pool import is_test_run
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.replicas.status import ROUNDS, Watch, watched
from django_gmf_router.schemas import advisories
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import ClusterConfig

SETTINGS = "settings"
ROUNDS_OF_CHECK = 2
"""Who compares what servers hold needs no more; `migrate` runs these checks each time."""
RISKY = {f"gmf_router.W{number:03}" for number in (2, 3, 4, 5, 6, 7, 10, 14, 17)}
"""The checks of what a site may want: each client gets right answers all the same."""
KEY_SECONDS = 10.0
# What it prints is no secret.
KEY_OF_ANOTHER_PROCESS = """
import hashlib
from django.conf import settings
from django.utils.encoding import force_bytes
print(hashlib.sha256(force_bytes(settings.SECRET_KEY)).hexdigest())
"""


def findings_of_site(configs: Iterable[ClusterConfig]) -> Iterator[Finding]:
    """Yield the answers to the questions that need no database server."""
    yield from _settings()
    by_token = [config for config in configs if config.consistency.level == "session"]
    if by_token:
        yield from _secret_key()
    seconds = [config.health.timeout for config in by_token if config.consistency.store == "cache"]
    if seconds and checks.token_backend() not in checks.UNSHARED_CACHES:
        yield from _token_cache(max(seconds))


def _settings() -> Iterator[Finding]:
    messages = [*checks.check_warnings(), *advisories.check_settings()]
    found = [of_check(message) for message in messages if not message.is_silenced()]
    yield from found or [Finding(about=SETTINGS, text="MIDDLEWARE, DATABASE_ROUTERS, DATABASES and GMF_ROUTER fit")]


def _secret_key() -> Iterator[Finding]:
    """Ask another process for the digest of its key: one that is made up at each start signs for itself alone."""
    own = hashlib.sha256(force_bytes(settings.SECRET_KEY)).hexdigest()
    other = _key_of_another_process()
    if other == own:
        yield Finding(about=SETTINGS, text="SECRET_KEY is the same in each process")
    elif other is not None:
        message = "SECRET_KEY is another one in each process: none takes the token that another one has signed."
        yield _wrong("W029", message, "Keep one key, in a file or in the environment.")


def _key_of_another_process() -> str | None:
    """Return None where there is no module of settings, or it cannot be loaded by itself."""
    module = getattr(settings, "SETTINGS_MODULE", None)
    if not module:
        return None
    env = {**os.environ, ENVIRONMENT_VARIABLE: module, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", KEY_OF_ANOTHER_PROCESS]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=KEY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split()[-1]


def _token_cache(timeout_seconds: float) -> Iterator[Finding]:
    failures: list[Exception] = []

    def ask() -> None:
        try:
            caches[DEFAULT_CACHE_ALIAS].get("gmf_doctor")
        except Exception as error:  # noqa: BLE001  each cache has its own errors
            failures.append(error)

    # A client of a cache may have no time-out of its own.
    thread = threading.Thread(target=ask, name="gmf-doctor", daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive() or failures:
        cause = cause_of(failures[0]).rstrip(".") if failures else f"it did not answer within {timeout_seconds:g} s"
        message = f"The cache that keeps the tokens fails: {cause}."
        yield _wrong("W028", message, "Correct CACHES['default'], or start its server.")
    else:
        yield Finding(about=SETTINGS, text="the cache that keeps the tokens answers")


def of_check(message: CheckMessage, about: str = SETTINGS) -> Finding:
    """Return what a system check has found."""
    verdict = Verdict.RISKY if message.id in RISKY else Verdict.WRONG
    return Finding(about=about, text=message.msg, verdict=verdict, problem=message)


def _wrong(check: str, message: str, remedy: str) -> Finding:
    return of_check(Warning(message, hint=remedy, id=f"gmf_router.{check}"))


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
