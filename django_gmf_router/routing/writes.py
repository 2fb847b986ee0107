"""What do the statements of a connection write, as seen on the wire?

Plainly a read is what begins like one and holds no data-modifying keyword. In doubt it is a write: doubt costs one
read of the primary, the other error a stale page.

Not seen, and documented: threads without the context, other aliases of the same server, `callproc`, COPY, functions
that write called from a plain SELECT outside use_primary() and `master`.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

from django.apps import apps
from django.db.backends.base.base import BaseDatabaseWrapper

from django_gmf_router.exceptions import MaintenanceMode, UnexpectedWrite
from django_gmf_router.postgres.dialects import CONTROL
from django_gmf_router.replicas.readings import Steering
from django_gmf_router.routing import advice
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.primary_models import CACHE_ENTRY, ModelTable, model_tables
from django_gmf_router.routing.unit_of_work import (
    ClusterRecord,
    UnitOfWork,
    current_place,
    innermost_role,
    open_unit,
)
from django_gmf_router.settings.values import ClusterConfig, Role

logger = logging.getLogger("django_gmf_router")

# One way to read each text: a comment ends at its first end, so that nothing is tried twice.
_BEGINNING = r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*"
_VERB = re.compile(_BEGINNING + r"([A-Za-z]+)")
_CONTROL = frozenset(["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"])
_SESSION = frozenset(["SET", "RESET", "PRAGMA"])
_READS = frozenset(["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DECLARE", "FETCH", "CLOSE"])
QUERIES = frozenset(["SELECT", "WITH", "VALUES", "TABLE"])
"""What delivers rows of the site, where it writes nothing."""
DML = frozenset(["INSERT", "UPDATE", "DELETE", "MERGE"])
# A file of SQL has several statements in one text: the words count whatever it begins with.
_MODIFIES = re.compile(
    r"\b(?:INSERT|UPDATE|DELETE|MERGE|INTO|TRUNCATE|CALL|CREATE|ALTER|DROP|nextval|setval)\b", re.IGNORECASE
)
# Names in quotes are no keywords. Where a literal or a comment may hold a quote nobody can tell by such means.
_QUOTED_NAME = re.compile(r'"[^"]*"')
_MAY_HOLD_QUOTES = re.compile(r"['$]|--|/\*")
_BY_THE_ORM = re.compile(r"""SELECT (?:DISTINCT )?(?:["`]|COUNT\(|\(?(?:1|%s)\)? AS ["`]a["`])""")
_TARGET = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE(?!\s+(?:SET|OF)\b)(?:\s+ONLY)?|DELETE\s+FROM(?:\s+ONLY)?|MERGE\s+INTO|LOCK\s+TABLE)\s+"
    r"""(?:["`\w]+\.)?(?:"([^"]+)"|`([^`]+)`|(\w+))""",
    re.IGNORECASE,
)
LONGEST_KEPT = 4096
"""Characters of a text whose classification is kept: imports spell their rows in texts of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is known of a statement by its text."""

    verb: str = ""
    """In capitals; "" where there is none."""
    writes: bool = True
    reads: bool = False
    """Whether it is a query that writes nothing."""
    tables: tuple[str, ...] = ()
    """The tables that it names as targets."""
    alone: bool = False
    """Whether its text is one statement that inserts, updates, deletes or merges, and does nothing else."""
    by_hand: bool = False
    """Whether it is a SELECT that does not look like the ORM's own: it may call a function that writes."""


class WriteWatch:
    """What one cluster does about writes: pin what wrote, warn of the unexpected, explain the refused."""

    def __init__(self, config: ClusterConfig, policy: Policy) -> None:
        """Take the cluster's settings and its rules."""
        self.primary = config.primary
        self._config = config
        self._policy = policy
        self._warned: set[tuple[str | None, str | None]] = set()
        if apps.models_ready:
            # With what else begins, not while the first page waits that writes.
            self._tables  # noqa: B018

    # Later where models are still loading.
    @cached_property
    def _tables(self) -> dict[str, ModelTable]:
        return model_tables(self._config.primary_models)

    def note(self, sql: object) -> tuple[Statement, ClusterRecord | None]:
        """Note a statement that is about to run on the primary; return what it does, and where it counts if it writes.

        Raise MaintenanceMode or UnexpectedWrite where it must not.
        """
        unit, statement = open_unit(), classify(sql)
        if not statement.writes and not (statement.by_hand and self._is_for_the_primary(unit)):
            return statement, None
        unit = unit or self._policy.open_outside()
        if unit is None:
            return statement, None
        self._forbid_in_maintenance(unit, statement)
        known = [self._tables.get(table) for table in statement.tables]
        is_alone = statement.alone and known != []
        if is_alone and all(table is not None and table.is_unread for table in known):
            return statement, None
        record = self._policy.record(unit)
        # At the latest now: whether a write is unexpected depends on what CHOOSER says.
        if record.is_open:
            self._policy.ask_chooser(unit, record)
        is_expected = is_alone and all(table is not None and table.is_primary for table in known)
        is_sent_away = record.verdict.role == Role.REPLICA and unit.method is not None
        if is_sent_away and not is_expected and statement.verb in {*DML, "WITH"}:
            self._warn(unit, statement)
        # Before it runs: a thread of the request may read as soon as it is committed.
        record.write()
        return statement, record

    def _forbid_in_maintenance(self, unit: UnitOfWork, statement: Statement) -> None:
        """Raise MaintenanceMode for a write of a request, unless it has written before, or steers the cluster.

        What is outside requests is the operators' own: migrations, and the command that ends the maintenance.
        """
        if not statement.writes or {*statement.tables} == {CONTROL}:
            return
        steering = self._steering(unit)
        # What has begun to write must not be left half done.
        if steering.maintenance and not self._policy.record(unit).wrote:
            raise MaintenanceMode(self.primary, steering.maintenance_reason)

    def _steering(self, unit: UnitOfWork) -> Steering:
        """Return what operators say of a unit of work: nothing of what is no request."""
        return Steering() if unit.method is None else self._policy.pool.steering()

    def may_be_left_out(self, sql: object) -> bool:
        """Return whether a page that reads can do without a statement: a cache in the database forgets what expired."""
        statement = classify(sql)
        tables = [self._tables.get(table) for table in statement.tables]
        is_of_cache = bool(tables) and all(table is not None and table.label == CACHE_ENTRY for table in tables)
        return statement.verb == "DELETE" and is_of_cache and self.only_wants_to_read()

    def only_wants_to_read(self) -> bool:
        """Return whether this is a request that reads, whoever serves it, and that has written nothing so far.

        In maintenance its page is worth more than what it changes in its session.
        """
        if (unit := open_unit()) is None:
            return False
        record = self._policy.record(unit)
        return (record.verdict.reads or record.verdict.role == Role.REPLICA) and not record.wrote

    def _is_for_the_primary(self, unit: UnitOfWork | None) -> bool:
        """Return whether the rules or a block sent reads to the primary: what is selected by hand may well write."""
        if unit is None or self._steering(unit).maintenance:
            return False
        role = innermost_role(current_place.get().blocks) or self._policy.record(unit).verdict.role
        return role == Role.PRIMARY

    def _warn(self, unit: UnitOfWork, statement: Statement) -> None:
        unexpected = self._config.unexpected_writes.answer(str(unit.method), str(unit.path))
        if unexpected == "allow" or innermost_role(current_place.get().blocks) == Role.PRIMARY:
            return
        wrote = self._what(statement)
        what = f"{unit.method} {unit.path} writes to the primary ({wrote}), though the rules sent it to replicas."
        if unexpected == "refuse":
            raise UnexpectedWrite(f"{what} {advice.remedy(self._config, unit)}")
        key = (unit.method, advice.view_of(unit))
        if key not in self._warned:
            self._warned.add(key)
            # What it costs is known at the end, and whether it came to the primary.
            unit.at_end.append(partial(self._tell, unit, key, what, advice.remedy(self._config, unit)))

    def _tell(self, unit: UnitOfWork, key: tuple[str | None, str | None], what: str, remedy: str) -> None:
        if not unit.has_written(self.primary):
            self._warned.discard(key)
            return
        reads = unit.reads_after_write
        works = f"It works; {reads} read{' goes' if reads == 1 else 's go'} to the primary after it."
        text = advice.one_line(f"{what} {works} {remedy}")
        logger.warning("%s", text, extra={"event": "unexpected_write", "reads": reads})

    def explain(self, error: BaseException, sql: object, alias: str) -> None:
        """Add to the refusal of a write what was asked of which node, and the line that mends it."""
        statement = classify(sql)
        note = f"The alias {alias!r} is a replica, and {self._what(statement)} writes."
        unit = open_unit()
        if unit is None or unit.method is None:
            note = f"{note} Use the alias {self.primary!r}, or use_primary()."
            # A command may put words of its own in the place of the error, as `flush` does: "isn't running".
            logger.warning("%s", note, extra={"event": "refused_write"})
        elif self._policy.record(unit).alias == alias:
            note = f"{unit.method} {unit.path}: {note} {advice.remedy(self._config, unit)}"
        else:
            note = f"{unit.method} {unit.path}: {note} The query names this alias: use {self.primary!r} there."
        _add_note(error, note)

    def _what(self, statement: Statement) -> str:
        table = next(iter(statement.tables), "")
        known = self._tables.get(table)
        return " ".join(filter(None, (statement.verb or "SQL", known.label if known else table)))

    def may_be_saved(self, wrapper: BaseDatabaseWrapper, sql: object) -> bool:
        """Return whether a statement, whose connection was lost under way, may have written all the same."""
        statement = classify(sql)
        return not wrapper.in_atomic_block and wrapper.autocommit and (statement.writes or statement.by_hand)


def classify(sql: object) -> Statement:
    """Return what `sql` does; composed SQL and bytes, whose text only the driver knows, count as unknown writes."""
    if not isinstance(sql, str):
        return Statement()
    return _classify(sql) if len(sql) > LONGEST_KEPT else _kept(sql)


def _classify(sql: str) -> Statement:
    found = _VERB.match(sql)
    verb = found[1].upper() if found else ""
    searched = sql if _MAY_HOLD_QUOTES.search(sql) else _QUOTED_NAME.sub("", sql)
    if verb in _CONTROL | _SESSION | _READS and not _MODIFIES.search(searched):
        by_hand = verb in _READS and not _BY_THE_ORM.match(sql)
        return Statement(verb=verb, writes=False, reads=verb in QUERIES, by_hand=by_hand)
    tables = tuple(first or second or third for first, second, third in _TARGET.findall(sql))
    return Statement(verb=verb, tables=tables, alone=verb in DML and ";" not in sql)


_kept = lru_cache(maxsize=2048)(_classify)


def _add_note(error: BaseException, note: str) -> None:
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:  # Python 3.10
        error.args = (f"{error}\n{note}", *error.args[1:])
