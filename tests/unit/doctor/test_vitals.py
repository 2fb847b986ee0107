"""Is what a server tells once what it said, also where it refuses some of it?"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from django_gmf_router.doctor.vitals import FACTS, Examiner, Vitals
from tests.unit.replicas.test_probes import PRIMARY_ROW, DriverError, Server, server  # noqa: F401  (a fixture)

BEFORE, AFTER = 1000.0, 1000.5
TOLD = {
    "version": 150008,
    "user": "gmf",
    "schemas": "public",
    "receivers": 0,
    "restores": False,
    "is_paused": None,
    "has_control": True,
    "has_migrations": True,
}
WITHIN = 1000.25
READABLE = (None,)


class RefusedError(DriverError):
    """The server will not tell this role."""

    sqlstate = "42501"


def row(clock: float = WITHIN) -> tuple[object, ...]:
    return tuple({**TOLD, "clock": clock}[name] for name in FACTS)


def clock() -> Callable[[], float]:
    """Return this machine's clock, which is looked at before a question and after it."""
    times = [BEFORE, AFTER]
    return lambda: times.pop(0)


def examined(*answers: object, of: Server) -> Examiner:
    of.answers = [PRIMARY_ROW, *answers]
    examiner = Examiner("default", wall=clock())
    try:
        examiner.reading = examiner.read()
    finally:
        examiner.close()
    return examiner


def test_what_a_server_tells(server: Server) -> None:  # noqa: F811
    examiner = examined(row(), (["library_author"],), of=server)
    assert examiner.reading.up
    assert examiner.vitals == Vitals(**TOLD, ahead=0.0, unreadable=("library_author",))


@pytest.mark.parametrize(("told", "ahead"), [(AFTER + 60, 60.0), (BEFORE - 60, -60.0), (BEFORE, 0.0), (AFTER, 0.0)])
def test_a_clock_is_ahead_by_what_the_question_did_not_take(server: Server, told: float, ahead: float) -> None:  # noqa: F811
    assert examined(row(told), READABLE, of=server).vitals.ahead == ahead


def test_what_is_refused_costs_that_alone(server: Server) -> None:  # noqa: F811
    told = {**TOLD, "clock": WITHIN}
    alone = [RefusedError("no") if name in {"receivers", "clock"} else (told[name],) for name in FACTS]
    examiner = examined(RefusedError("no"), *alone, RefusedError("no"), of=server)
    assert examiner.reading.up
    assert examiner.vitals == Vitals(**{**TOLD, "receivers": None})


def test_a_connection_that_fails_meanwhile_is_none(server: Server) -> None:  # noqa: F811
    examiner = examined(DriverError("the server closed the connection, s3cret"), of=server)
    assert (examiner.reading.up, examiner.reading.error) == (False, "the server closed the connection, ***")
    assert examiner.vitals == Vitals()


def test_it_is_asked_once(server: Server) -> None:  # noqa: F811
    server.answers = [PRIMARY_ROW, row(), READABLE, PRIMARY_ROW]
    examiner = Examiner("default", wall=clock())
    examiner.read()
    examiner.read()
    examiner.close()
    assert server.answers == []
