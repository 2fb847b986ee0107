"""What do the statements of a connection write, as seen on the wire?

One entry of Django's `execute_wrappers` per connection wrapper. Not seen, and documented: threads without the context,
other aliases of the same server, `callproc`, COPY, functions that write called from a plain SELECT.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.db import InternalError

from django_gmf_router.exceptions import UnexpectedWrite
from django_gmf_router.postgres.sqlstates import is_refused_write
from django_gmf_router.routing import advice
from django_gmf_router.routing.blocks import innermost_role
from django_gmf_router.routing.policy import Policy
from django_gmf_router.routing.statements import Statement, classify
from django_gmf_router.routing.unit_of_work import UnitOfWork, current_place, open_unit
from django_gmf_router.settings.values import Role

logger = logging.getLogger("django_gmf_router")

DML = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})


class WriteWatch:
    """What one cluster does about writes: pin what wrote, warn of the unexpected, explain the refused."""

    def __init__(
        self, *, policy: Policy, unexpected: str, tables: Callable[[], Mapping[str, tuple[str, bool]]]
    ) -> None:
        """Take UNEXPECTED_WRITES, and tables -> (model label, whether it is a primary model)."""
        self._policy = policy
        self._unexpected = unexpected
        self._tables = tables
        self._warned: set[tuple[str | None, str | None]] = set()

    def is_primary(self, alias: str) -> bool:
        """Return whether `alias` is the primary's."""
        return alias == self._policy.primary

    def saw(self, unit: UnitOfWork | None, sql: Any) -> None:
        """Note a statement that is about to run on the primary; raises UnexpectedWrite where that is refused."""
        statement = classify(sql)
        if not statement.writes and not (statement.by_hand and self._is_for_the_primary(unit)):
            return
        unit = unit or self._policy.open_outside()
        if unit is None:
            return
        label, primary_model = self._tables().get(statement.table or "", (None, False))
        if primary_model:
            return
        record = self._policy.record(unit)
        if record.verdict.role == Role.REPLICA and unit.method is not None and statement.verb in {*DML, "WITH"}:
            self._unexpected_write(unit, statement, label)
        record.write()

    def _is_for_the_primary(self, unit: UnitOfWork | None) -> bool:
        """Return whether the rules sent `unit` to the primary: what it selects by hand may well write."""
        return unit is not None and self._policy.record(unit).verdict.role == Role.PRIMARY

    def _unexpected_write(self, unit: UnitOfWork, statement: Statement, label: str | None) -> None:
        if self._unexpected == "allow" or innermost_role(current_place.get().blocks) == Role.PRIMARY:
            return
        line = advice.master_line(self._policy.primary, unit)
        wrote = _what(statement, label)
        what = f"{unit.method} {unit.path} writes to the primary ({wrote}), but the rules sent it to replicas"
        if self._unexpected == "refuse":
            raise UnexpectedWrite(f"{what}. Add {line}")
        key = (unit.method, advice.view_of(unit))
        if key not in self._warned:
            self._warned.add(key)
            logger.warning("%s. Add %s", what, line, extra={"event": "unexpected_write"})

    def explain(self, error: BaseException, sql: Any, alias: str) -> None:
        """Add to the refusal of a write what was asked of which node, and the line that mends it."""
        statement = classify(sql)
        label, _ = self._tables().get(statement.table or "", (None, False))
        note = f"The alias {alias!r} is a replica, and {_what(statement, label)} writes."
        unit = open_unit()
        if unit is None or unit.method is None:
            note = f"{note} Use the alias {self._policy.primary!r}, or use_primary()."
        elif self._policy.record(unit).answer == alias:
            note = f"{unit.method} {unit.path}: {note} Add {advice.master_line(self._policy.primary, unit)}"
        else:
            note = f"{unit.method} {unit.path}: {note} The query names this alias: use {self._policy.primary!r} there."
        _add_note(error, note)


class Guard:
    """The execute wrapper of one connection."""

    __slots__ = ("_alias", "_watch")

    def __init__(self, alias: str, watch: Callable[[str], WriteWatch | None]) -> None:
        """Watch the connection of `alias`; `watch` answers its cluster's, which settings may change."""
        self._alias = alias
        self._watch = watch

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Run one statement."""
        watch = self._watch(self._alias)
        if watch is None:
            return execute(sql, params, many, context)
        if watch.is_primary(self._alias):
            watch.saw(open_unit(), sql)
            return execute(sql, params, many, context)
        try:
            return execute(sql, params, many, context)
        except InternalError as error:
            if is_refused_write(error):
                watch.explain(error, sql, self._alias)
            raise


def install(connection: Any, watch: Callable[[str], WriteWatch | None]) -> None:
    """Guard `connection`, once however often it reconnects.

    First in the list: Django's `execute_wrapper()` blocks take the last entry away when they end, whichever it is.
    """
    if not any(isinstance(wrapper, Guard) for wrapper in connection.execute_wrappers):
        connection.execute_wrappers.insert(0, Guard(connection.alias, watch))


def _what(statement: Statement, label: str | None) -> str:
    return " ".join(filter(None, (statement.verb or "SQL", label or statement.table)))


def _add_note(error: BaseException, note: str) -> None:
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:  # Python 3.10
        error.args = (f"{error}\n{note}", *error.args[1:])
