"""What does an entry of DATABASES need to serve as a primary or as a replica?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENGINE = "django_gmf_router.backends.postgresql"
ENGINE_POSTGIS = "django_gmf_router.backends.postgis"
READ_ONLY_OPTION = "-c default_transaction_read_only=on"
CONNECT_TIMEOUT_SECONDS = 2

_OUR_ENGINES = {
    "django.db.backends.postgresql": ENGINE,
    "django.db.backends.postgresql_psycopg2": ENGINE,
    "django.contrib.gis.db.backends.postgis": ENGINE_POSTGIS,
}
_POSTGRESQL_ENGINES = {
    *_OUR_ENGINES,
    *_OUR_ENGINES.values(),
    "django_prometheus.db.backends.postgresql",
    "django_prometheus.db.backends.postgis",
}

Entry = dict[str, Any]


def is_postgresql(entry: Mapping[str, Any]) -> bool:
    """Whether the entry's ENGINE speaks to PostgreSQL through libpq, and so takes its OPTIONS."""
    return entry.get("ENGINE") in _POSTGRESQL_ENGINES


def with_our_engine(entry: Mapping[str, Any]) -> Entry:
    """Return a copy whose stock PostgreSQL ENGINE is this package's; any other ENGINE stays."""
    engine = entry.get("ENGINE", "")
    return {**entry, "ENGINE": _OUR_ENGINES.get(engine, engine)}


def replica_of(primary: Mapping[str, Any], /, *, mirror: str = "default", **overrides: Any) -> Entry:
    """Return the DATABASES entry of a replica of `primary`, a hand-written entry of DATABASES.

    `overrides` are keys of the entry (`HOST="db2"`); `OPTIONS` and `TEST` are merged, the others replace.
    `mirror` is the alias of the primary, for the test runner. The entry gets this package's ENGINE in place
    of Django's PostgreSQL ones, and what every replica needs:

    - `TEST: {"MIRROR": mirror}`, so that tests see the rows they wrote (Django's manual, "Testing
      primary/replica configurations"); the rest of the primary's `TEST` is not copied.
    - no `ATOMIC_REQUESTS`: it would open a transaction on the replica for every request.
    - on PostgreSQL a read-only session (PostgreSQL's manual, section 20.11, `default_transaction_read_only`),
      added to OPTIONS `options`, and a `connect_timeout` of 2 seconds where OPTIONS have none.
    """
    options = {**primary.get("OPTIONS", {}), **overrides.pop("OPTIONS", {})}
    test = {**overrides.pop("TEST", {}), "MIRROR": mirror}
    entry = with_our_engine({**primary, **overrides})
    entry.pop("ATOMIC_REQUESTS", None)
    if is_postgresql(entry):
        options = _read_only(options)
    if options:
        entry["OPTIONS"] = options
    return {**entry, "TEST": test}


def _read_only(options: Mapping[str, Any]) -> dict[str, Any]:
    given = str(options.get("options") or "")
    # PostgreSQL takes the last of several: ours must stand at the end.
    ours = given if given.endswith(READ_ONLY_OPTION) else f"{given} {READ_ONLY_OPTION}".lstrip()
    return {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **options, "options": ours}
