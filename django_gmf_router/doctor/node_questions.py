"""Is a server what the settings say, by what it tells of itself? One small function for each question."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.core.checks import Error, Warning  # noqa: A004
from django.db import connections

from django_gmf_router.consistency.tokens import CLOCK_TOLERANCE_SECONDS
from django_gmf_router.doctor import Finding, Verdict
from django_gmf_router.doctor.vitals import Vitals
from django_gmf_router.postgres.dialects import AURORA, CONTROL, IDENTITY, POSTGRESQL
from django_gmf_router.postgres.names import quote
from django_gmf_router.replicas.health import DIVERGED, NodeHealth, State, stranger
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import ClusterConfig, Role

# The words of libpq, its drivers and the server, in English; what helps with any others is less precise.
REMEDIES = (
    (r"password authentication|no password supplied", "Correct its USER and PASSWORD."),
    (r"role .* does not exist|not permitted to log in", "Correct its USER, or create the role on the primary."),
    (r"database .* does not exist", "Correct its NAME, or create the database on the primary."),
    (r"pg_hba", "Let this machine in by a line of the server's pg_hba.conf, and reload the server."),
    (r"resolve|translate host name|name or service", "Correct its HOST, or mend the name server."),
    (r"refused|no such file", "Correct its HOST and PORT, or start the server."),
    (r"did not answer|timeout expired|timed out", "Find out what hangs: the server, or a firewall before it."),
    (r"certificate|\bssl\b", "Correct sslmode and sslrootcert in its OPTIONS."),
    (r"too many (?:clients|connections)|slots", "Raise the server's max_connections, or hold fewer connections."),
    (r"startup parameter", "Let the pooler in between pass the startup parameter `options`."),
)
GONE, NOT_MIGRATED = "W021", "W018"
OTHERWISE = "Correct its entry in DATABASES, or mend the server."
MANY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A node, and all that is known of it."""

    name: str
    """Its alias, with an address where that is several servers."""
    alias: str
    config: ClusterConfig
    """Its cluster's."""
    health: NodeHealth
    reading: Reading
    """Not up: it has not answered in time."""
    vitals: Vitals

    @property
    def is_primary(self) -> bool:
        """Whether it is the primary by the settings."""
        return self.alias == self.config.primary

    def fine(self, text: str) -> Finding:
        """Return that something is as it should be."""
        return Finding(about=self.name, text=text)

    def wrong(self, check: str, text: str, remedy: str) -> Finding:
        """Return what is wrong: an error or a warning, by the letter of the id of its check."""
        kind = Error if check.startswith("E") else Warning
        address = f" ({self.name.rpartition('@')[2]})" if self.name != self.alias else ""
        message = f"DATABASES[{self.alias!r}]{address} {text}"
        problem = kind(message, hint=remedy, id=f"gmf_router.{check}")
        return Finding(about=self.name, text=text, verdict=Verdict.WRONG, problem=problem)


Question = Callable[[Examined, Examined], Iterator[Finding]]


def findings_of_node(node: Examined, primary: Examined, *more: Question) -> Iterator[Finding]:
    """Yield the answers to all questions of a node; one that gives no connection, or is another, is asked no more."""
    for question in FIRST:
        found = tuple(question(node, primary))
        yield from found
        if any(finding.problem for finding in found):
            return
    if node.reading.dialect is not None:
        for question in (*THEN, *more):
            yield from question(node, primary)


def _connection(node: Examined, _primary: Examined) -> Iterator[Finding]:
    vitals = node.vitals
    if not node.reading.up:
        words = (node.reading.error or node.health.error or "It did not answer").rstrip(".")
        remedies = (remedy for pattern, remedy in REMEDIES if re.search(pattern, words, re.IGNORECASE))
        yield node.wrong(GONE, f"gives no connection: {words}.", next(remedies, OTHERWISE))
    elif vitals.version is None:
        yield node.fine("answers")
    elif vitals.major < (least := _least_release(node.alias)):
        text = f"runs PostgreSQL {vitals.release}: this Django needs {least} or later."
        yield node.wrong("E026", text, "Upgrade the server.")
    else:
        yield node.fine(f"answers the user {vitals.user!r}, PostgreSQL {vitals.release}")


def _least_release(alias: str) -> int:
    return (connections[alias].features.minimum_database_version or (0,))[0]


def _contents(node: Examined, primary: Examined) -> Iterator[Finding]:
    if node.reading.database is None:
        return
    identifier = node.reading.system_identifier
    holds = f"the database {node.reading.database!r}" + (f" of the system {identifier}" if identifier else "")
    if node.is_primary or not primary.reading.up:
        yield node.fine(f"holds {holds}")
    elif strange := stranger(node.reading, primary.reading) or _other_release(node.vitals, primary.vitals):
        text = f"is no replica of {primary.alias!r}. {strange}"
        yield node.wrong("E022", text, "Correct its HOST, PORT or NAME: it gets no reads.")
    else:
        yield node.fine(f"holds what {primary.name} holds: {holds}")


def _other_release(found: Vitals, wanted: Vitals) -> str | None:
    if None in {found.version, wanted.version} or found.major == wanted.major:
        return None
    return f"It runs PostgreSQL {found.release}, its primary {wanted.release}."


def _role(node: Examined, primary: Examined) -> Iterator[Finding]:
    role = node.reading.role
    if node.is_primary and role == Role.REPLICA:
        text = "is named as a primary, and is in recovery: a replica, which takes no writes."
        yield node.wrong("E025", text, "Name the HOST and PORT of the primary, or promote this one.")
    elif node.is_primary and role == Role.PRIMARY:
        yield node.fine("is a primary")
    elif role == Role.PRIMARY and node.alias in node.config.balanced_aliases:
        yield node.fine("is a primary now: it gets no reads by this alias")
    elif role == Role.PRIMARY:
        text = f"is named as a replica of {primary.alias!r}, and is a primary: it gets no reads."
        yield node.wrong("E025", text, "Name the HOST and PORT of a replica; make one that was promoted anew.")


def _replication(node: Examined, primary: Examined) -> Iterator[Finding]:
    if node.is_primary or node.reading.role == Role.PRIMARY:
        return
    health = node.health
    log = "See its log, and whether its primary_conninfo leads to the primary."
    if node.vitals.is_paused:
        yield node.wrong("W022", "has its replay paused.", "There, as a superuser: SELECT pg_wal_replay_resume()")
    elif _is_cut_off(node):
        yield node.wrong("W022", "receives nothing: it is connected to no primary.", log)
    elif health.state == State.DOWN:
        yield node.wrong("W022", f"is down. {health.error}", log if health.error == DIVERGED else OTHERWISE)
    elif health.state == State.LAGGING:
        text = f"is {health.lag:.1f} s behind {primary.name}, more than MAX_LAG."
        yield node.wrong("W022", text, "Find out what holds up its replay, or raise HEALTH['MAX_LAG'].")
    elif not primary.reading.up:
        yield node.fine(f"is a replica; how far behind is unknown while {primary.name} gives no connection")
    elif health.lag is None:
        yield node.fine(f"follows {primary.name}; how far behind, the server does not tell")
    else:
        yield node.fine(f"follows {primary.name}, {health.lag:.1f} s behind")


def _is_cut_off(node: Examined) -> bool:
    """Return whether nothing can reach a replica: on Aurora, which has another name here, its storage does."""
    is_postgresql = node.reading.dialect is not None and node.reading.dialect.name == POSTGRESQL.name
    return is_postgresql and node.vitals.receivers == 0 and node.vitals.restores is False


def _migrations(node: Examined, primary: Examined) -> Iterator[Finding]:
    told, wanted = node.health.migrations, primary.health.migrations
    if node.is_primary and node.vitals.has_control is False:
        text = f"has no table {CONTROL}: gmf_control steers nothing there."
        yield node.wrong(NOT_MIGRATED, text, "Run `manage.py migrate`, then restart the web servers.")
    elif node.is_primary and told is not None:
        yield node.fine(f"has the table {CONTROL}, and {told.partition(' ')[0]} migrations applied")
    elif not node.is_primary and None not in {told, wanted}:
        if told == wanted:
            yield node.fine(f"has replayed the migrations of {primary.name}")
        else:
            text = f"has not replayed the migrations of {primary.alias!r}: models may lack their tables there."
            yield node.wrong("W027", text, "Wait until it has; if it never does, see its log.")


def _functions(node: Examined, _primary: Examined) -> Iterator[Finding]:
    dialect, user = node.reading.dialect, node.vitals.user
    if dialect is None:
        return
    # Nobody is granted that one on Aurora.
    refused = [name for name in dialect.refused if not (dialect.name == AURORA.name and name == IDENTITY)]
    if refused:
        names = ", ".join(refused)
        remedy = f"On the primary, as a superuser: GRANT EXECUTE ON FUNCTION {names} TO {quote(user or 'public')}"
        yield node.wrong("W023", f"refuses what the health monitor asks: {names}.", remedy)
    else:
        yield node.fine("tells all that the health monitor asks")


def _tables(node: Examined, _primary: Examined) -> Iterator[Finding]:
    tables, user = node.vitals.unreadable, node.vitals.user
    if tables:
        more = f" and {len(tables) - MANY} more" if len(tables) > MANY else ""
        text = f"does not let the user {user!r} read {', '.join(tables[:MANY])}{more}."
        names = ", ".join(map(quote, tables[:MANY]))
        yield node.wrong("W024", text, f"On the primary: GRANT SELECT ON {names} TO {quote(user or 'public')}")
    else:
        yield node.fine("lets the user read the tables of the models")


def _search_path(node: Examined, primary: Examined) -> Iterator[Finding]:
    found, wanted = node.vitals.schemas, primary.vitals.schemas
    # SCHEMAS have checks of their own, which ask more.
    if node.config.schemas or found is None:
        return
    if wanted in {None, found}:
        yield node.fine(f"looks for tables in {found or 'no schema'}")
    else:
        text = f"looks for tables in {found or 'no schema'}, {primary.alias!r} in {wanted or 'none'}."
        remedy = "Give both the same search_path in OPTIONS, and grant their users USAGE on the schemas."
        yield node.wrong("W025", text, remedy)


def _clock(node: Examined, primary: Examined) -> Iterator[Finding]:
    ahead = node.vitals.ahead
    if ahead is None:
        return
    of_primary = ahead if primary.vitals.ahead is None else primary.vitals.ahead
    differences = ((ahead, "this machine's"), (ahead - of_primary, f"that of {primary.name}"))
    seconds, whose = max(differences, key=lambda difference: abs(difference[0]))
    if abs(seconds) > CLOCK_TOLERANCE_SECONDS:
        direction = "ahead of" if seconds > 0 else "behind"
        text = f"has a clock {abs(seconds):.1f} s {direction} {whose}, more than {CLOCK_TOLERANCE_SECONDS:g} s."
        yield node.wrong("W026", text, "Let all machines take their time from the same servers (NTP).")
    else:
        yield node.fine(f"has a clock {abs(ahead):.1f} s from this machine's")


FIRST: tuple[Question, ...] = (_connection, _contents, _role)
THEN: tuple[Question, ...] = (_replication, _migrations, _functions, _tables, _search_path, _clock)
