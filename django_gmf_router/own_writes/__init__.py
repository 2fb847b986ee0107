"""How does a client, a script or a worker come to read what was written?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import reduce
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error, connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_gmf_router import clusters
from django_gmf_router.clusters import Cluster
from django_gmf_router.consistency.stores import Store
from django_gmf_router.consistency.tokens import Mark, Token, dumps
from django_gmf_router.postgres.positions import at_rest, number_of
from django_gmf_router.routing.blocks import Block
from django_gmf_router.routing.policy import token_of
from django_gmf_router.routing.unit_of_work import UnitOfWork, open_unit

# The insert position, not the flush position, which lies behind with synchronous_commit=off. A segment's file name
# begins with the timeline.
WRITTEN = f"""
SELECT {number_of("lsn")}, substr(pg_walfile_name(lsn), 1, 8)
FROM (SELECT pg_current_wal_insert_lsn() AS lsn) AS now
"""  # noqa: S608


UNKNOWN = "unknown"
"""In place of a token, where what was written cannot be told: only the primary is sure to have it."""


def consistency_token() -> str | None:
    """Return a token of what this unit of work has committed and its client brought; None if that is nothing.

    Outside requests: of all that the primary has committed by now. Ask after the commit, in `on_commit`: inside a
    transaction only the time can be told. It counts for `MAX_AGE` seconds.
    """
    return _token(open_unit())


def token_of_now() -> str | None:
    """Return a token of all that the primaries have committed by now, whoever wrote it, whatever LEVEL is.

    None where there is no cluster.
    """
    written = _written(None)
    return None if written is None else dumps(written)


def _token(unit: UnitOfWork | None) -> str | None:
    marks = _marks(None if unit is None or _lasts(unit) else unit)
    for cluster in clusters.registry().clusters:
        store = cluster.store
        brought = None if unit is None else token_of(unit, store)
        if found := marks.get(store):
            return dumps(store.token(found, brought))
        if brought is not None:
            return dumps(brought)
    return None


def token_to_send(*, of_all: bool = False) -> str | None:
    """Return what a job has to see that is sent from here: what this unit of work, and those around it, wrote and saw.

    `of_all`: all that the primaries have committed by now, whoever wrote it, as outside of any unit of work. UNKNOWN
    inside a transaction, of which nobody knows yet where it will be committed, and where a primary does not answer.
    None: anything will do.
    """
    try:
        return _token_to_send(of_all=of_all)
    except (Error, SynchronousOnlyOperation):
        return UNKNOWN


def _token_to_send(*, of_all: bool) -> str | None:
    units = list(_units_here())
    given = {unit.given for unit in units if unit.given is not None}
    # A job that was sent inside a transaction cannot tell whether that has been committed by now.
    if UNKNOWN in given or any(map(_is_in_transaction, clusters.registry().clusters)):
        return UNKNOWN
    tokens = [_parsed(text) for text in given]
    # Whatever has expired was committed when it was signed.
    of_all = of_all or not units or _lasts(units[0]) or None in tokens
    tokens += [token_of(unit, store) for unit in units for store in _stores()]
    tokens.append(_written(None if of_all else units))
    found = [token for token in tokens if token is not None]
    return dumps(reduce(Token.merged, found)) if found else None


def _written(units: list[UnitOfWork] | None) -> Token | None:
    """Return the token of what these units of work wrote to whichever cluster; None: all that is committed by now."""
    marks = tuple(
        _mark(cluster, is_script=units is None)
        for cluster in clusters.registry().clusters
        if units is None or any(unit.has_written(cluster.config.primary) for unit in units)
    )
    return Token(time=time.time(), marks=marks) if marks else None


def _units_here() -> Iterator[UnitOfWork]:
    """Return this unit of work and those around it, the innermost first."""
    unit = open_unit()
    while unit is not None:
        yield unit
        unit = unit.outer


def _lasts(unit: UnitOfWork) -> bool:
    """Return whether a unit of work opened lazily outside requests.

    It lasts as long as its thread: what others committed counts as well.
    """
    return unit.method is None and unit.name is None


def _is_in_transaction(cluster: Cluster) -> bool:
    """Return whether a transaction is open on the primary, other than that of a TestCase."""
    wrapper: Any = connections[cluster.config.primary]
    if wrapper.in_atomic_block:
        return not all(block._from_testcase for block in wrapper.atomic_blocks)
    return wrapper.connection is not None and not wrapper.autocommit


def note_write(using: str = "default") -> None:
    """Note that this unit of work wrote to the primary `using`, by another process than its own.

    Its reads follow to the primary, and its client gets a token. Outside of a unit of work there is nothing to note.
    Raise LookupError where `using` belongs to no cluster with replicas.
    """
    cluster = clusters.of_alias(using)
    if cluster is None:
        raise LookupError(f"note_write(using={using!r}): this alias belongs to no cluster of GMF_ROUTER with replicas.")
    unit = open_unit()
    if unit is not None:
        cluster.policy.record(unit).write()


def read_after(token: str | None) -> Block:
    """Read inside this block or function at least what was committed when `token` was made; None asks for nothing.

    A token that has expired or is not ours sends the reads to the primary.
    """
    if token is None:
        return Block(None)
    parsed = _parsed(token)
    return Block(None, token=parsed, unmet=parsed is None)


def _stores() -> set[Store]:
    return {cluster.store for cluster in clusters.registry().clusters}


def _parsed(text: str) -> Token | None:
    """Return the token of a text; None if it has expired for each cluster, or is not ours."""
    return next(filter(None, (store.parse(text) for store in _stores())), None)


def remember(unit: UnitOfWork, request: HttpRequest, response: HttpResponseBase) -> None:
    """Give the client of `request` a token of what `unit` wrote: one query on each primary that it wrote to.

    A request that the site makes to itself, through Django's handler within a view, wrote for the request around it.
    """
    hand_on(unit)
    for store, marks in _marks(unit).items():
        store.give(request, response, store.token(marks, token_of(unit, store)))
        for mark in marks:
            next(clusters.registry().by_alias[mark.cluster].policy.tokens["given"])


def give(unit: UnitOfWork, text: str) -> bool:
    """Let `unit` bring the token of `text`, as a client does; return whether it counts."""
    token = _parsed(text)
    unit.tokens = dict.fromkeys(_stores(), token)
    return token is not None


def hand_on(unit: UnitOfWork) -> None:
    """Let the unit of work around `unit`, if there is one, read what that wrote."""
    if unit.outer is not None:
        for cluster in clusters.registry().clusters:
            if unit.has_written(cluster.config.primary):
                cluster.policy.record(unit.outer).write()


def remembers_late() -> bool:
    """Return whether what is written while a body streams can still be remembered."""
    return any(cluster.store.writes_late for cluster in clusters.registry().clusters)


def _marks(unit: UnitOfWork | None) -> dict[Store, tuple[Mark, ...]]:
    # Clusters that keep their tokens in one place share a token: one cookie, whatever a page wrote to.
    marks: dict[Store, tuple[Mark, ...]] = {}
    for cluster in clusters.registry().clusters:
        config = cluster.config
        if config.consistency.level == "session" and (unit is None or unit.has_written(config.primary)):
            marks[cluster.store] = (*marks.get(cluster.store, ()), _mark(cluster, is_script=unit is None))
    return marks


def _mark(cluster: Cluster, *, is_script: bool) -> Mark:
    """Return the mark of what was committed until now: one query on the primary's open connection.

    A mark of the time alone where there is no position to be had: another vendor, a server that refuses it or fails, a
    connection that is closed or inside a transaction.
    """
    primary = cluster.config.primary
    wrapper: Any = connections[primary]
    unknown = Mark(cluster=primary)
    health = cluster.monitor.snapshot[primary]
    if primary in cluster.monitor.by_time or cluster.pool.is_mirrored():
        return unknown
    if is_script:
        wrapper.ensure_connection()
    if wrapper.vendor != "postgresql" or wrapper.connection is None:
        return unknown
    if wrapper.in_atomic_block or not wrapper.autocommit:
        return unknown
    try:
        with wrapper.cursor() as cursor:
            cursor.execute(WRITTEN)
            position, timeline = cursor.fetchone()
    except SynchronousOnlyOperation:
        return unknown
    except Error:
        if is_script:
            # Beat runs for months, and nobody else closes there what a restart of the primary broke.
            wrapper.close_if_unusable_or_obsolete()
        return unknown
    return Mark(
        cluster=primary,
        system_identifier=health.system_identifier,
        timeline=int(timeline, 16),
        position=at_rest(position),
    )
