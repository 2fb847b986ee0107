"""Do the settings and the processes of this site fit together? What no database server can say."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator

from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.cache import DEFAULT_CACHE_ALIAS, caches
from django.core.checks import CheckMessage, Warning  # noqa: A004
from django.utils.encoding import force_bytes

from django_gmf_router import checks
from django_gmf_router.doctor.findings import Finding, Verdict
from django_gmf_router.postgres.sqlstates import cause_of
from django_gmf_router.schemas import advisories
from django_gmf_router.settings.values import ClusterConfig

SETTINGS = "settings"
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
