"""Does the checker of tests/consistency find what it is to find, and nothing else?"""

from __future__ import annotations

import time
from typing import Any

import pytest

from django_gmf_router.consistency import tokens
from django_gmf_router.consistency.tokens import Mark, Token
from tests.consistency.clients import Plan, connections, token_of
from tests.consistency.history import History, covers
from tests.consistency.operations import Operation, read_lines, write_lines

REPLICA, PRIMARY = 5433, 5432


def text(position: int | None, *, timeline: int = 1, time: float = 1_800_000_000.0) -> str:
    mark = Mark(cluster="default", system_identifier="7", timeline=timeline, position=position)
    return tokens.dumps(Token(time=time, marks=(mark,)))


def operation(started: float, value: int, **changed: Any) -> Operation:
    full = {"client": 1, "register": 1, "is_write": False, "started": started, "ended": started + 1, "site": 0}
    return Operation(**{**full, "value": value, "port": REPLICA, "reason": "read_method", **changed})


def write(started: float, value: int, position: int | None = None, **changed: Any) -> Operation:
    received = None if position is None else text(position)
    return operation(started, value, is_write=True, **{"received": received, "port": None, **changed})


def read(started: float, value: int, position: int | None = None, **changed: Any) -> Operation:
    return operation(started, value, sent=None if position is None else text(position), **changed)


def violations(*operations: Operation) -> list[tuple[float, int | None]]:
    found = History(operations).violations()
    return [(violation.read.started, violation.write.value) for violation in found]


def test_a_read_of_what_was_written_is_right() -> None:
    assert violations(write(0, 1, 100), read(2, 1, 100), write(4, 2, 200), read(6, 2, 200)) == []


def test_a_read_of_less_than_was_written_is_a_violation() -> None:
    assert violations(write(0, 1, 100), write(2, 2, 200), read(4, 1, 200)) == [(4, 2)]


def test_without_any_token_all_that_was_acknowledged_counts() -> None:
    assert violations(write(0, 1), read(2, 0)) == [(2, 1)]


def test_a_read_that_began_before_the_answer_may_show_either() -> None:
    assert violations(write(0, 1, 100), read(0.9, 0, 50), read(1.0, 1, 100)) == []


def test_a_read_that_lost_its_token_breaks_nothing_that_was_promised() -> None:
    history = History([write(0, 1, 100), read(2, 0)])
    assert history.violations() == []
    assert len(history.overtaken()) == 1


def test_a_read_with_an_older_token_than_that_of_the_write_is_reported_but_no_violation() -> None:
    history = History([write(0, 1, 100), write(0, 2, 200), read(2, 1, 100)])
    assert history.violations() == []
    assert [found.started for found in history.overtaken()] == [2]


def test_a_read_with_a_later_token_is_held_to_the_earlier_write() -> None:
    assert violations(write(0, 1, 100), read(2, 0, 300)) == [(2, 1)]


def test_a_write_that_failed_may_or_may_not_show() -> None:
    failed = write(0, 1, error="500")
    assert violations(failed, read(2, 0)) == violations(failed, read(2, 1)) == []
    assert History([failed]).failures() == [failed]


def test_a_read_that_failed_shows_nothing() -> None:
    history = History([write(0, 1, 100), read(2, 0, 100, error="503")])
    assert (history.violations(), history.reads_by([REPLICA])) == ([], (0, 0))


def test_after_its_max_age_a_token_promises_nothing() -> None:
    assert violations(write(0, 1, 100), read(61, 0, 100)) == [(61, 1)]
    assert violations(write(0, 1, 100), read(61.1, 0, 100)) == []


def test_reads_of_the_registers_of_others_are_best_effort() -> None:
    history = History([write(0, 1, 100), read(2, 0, 100, client=2), read(4, 1, 100, client=2)])
    assert (history.violations(), history.stale_reads_of_others()) == ([], (1, 2))


def test_a_value_that_nobody_wrote_is_an_invention() -> None:
    invented, early = read(2, 5), read(0, 1, client=2)
    history = History([invented, write(3, 5), early, write(0.5, 1)])
    assert history.inventions() == [invented]


def test_what_the_replicas_served_is_counted() -> None:
    reads = [read(2, 0, is_first=True), read(4, 0, port=PRIMARY, is_first=True, reason="consistency"), read(6, 0)]
    history = History(reads)
    assert (history.first_reads([REPLICA]), history.reads_by([REPLICA])) == ((1, 2), (2, 3))
    assert history.reasons() == {"read_method": 2, "consistency": 1}


def test_a_violation_tells_what_happened_where() -> None:
    (found,) = History([write(0, 7, 100), read(1.5, 6, 100, site=1)]).violations()
    expected = "client 1 wrote 7 through site 0 and read 6 500.0 ms later through site 1 from port 5433"
    assert str(found) == f"{expected}; reason=read_method"


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("sent", "given", "covered"),
    [
        (text(100), text(100), True),
        (text(200), text(100), True),
        (text(100), text(200), False),
        (text(5, timeline=2), text(100), True),
        (text(100), text(5, timeline=2), False),
        (text(None, time=NOW + 1), text(None), True),
        (text(None), text(None, time=NOW + 1), False),
        (text(100, time=NOW + 1), text(None), True),
        (text(None, time=NOW + 1), text(100), True),
        (None, text(100), False),
        ("forged", text(100), False),
        (tokens.dumps(Token(time=NOW)), text(100), False),
        ("unreadable", "unreadable", True),
        (text(100), "unreadable", False),
    ],
)
def test_a_token_covers_those_of_earlier_writes(sent: str | None, given: str, covered: bool) -> None:
    assert covers(sent, given) is covered


def test_operations_survive_their_lines() -> None:
    operations = [write(0, 1, 100), read(2, 1, 100), read(3, 1, error="503\nand more")]
    assert list(read_lines(write_lines(operations).splitlines())) == operations


def test_a_shared_jar_has_several_connections_and_the_others_one() -> None:
    plan = Plan(sites=[], clients=[1, 2], shared=[1], registers=[1, 2], operations=0, seed=5)
    opened = list(connections(plan))
    jars = [connection._jar for connection in opened]
    assert len(opened) == 5
    assert len({id(jar) for jar in jars[:4]}) == 1
    assert jars[4] is not jars[0]
    assert token_of(jars[0].headers()) is None


class Response:
    """What a jar looks at."""

    def __init__(self, *cookies: str, header: str | None = None) -> None:
        self.headers = self
        self._cookies, self._header = cookies, header

    def getheader(self, name: str) -> str | None:
        return self._header

    def get_all(self, name: str, default: list[str]) -> list[str]:
        return list(self._cookies) or default


def test_a_jar_keeps_the_last_token_until_its_max_age(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(sites=[], clients=[1], shared=[], registers=[1], operations=0, seed=5)
    (connection,) = connections(plan)
    jar: Any = connection._jar
    assert jar.take(Response("gmf_token=one; Max-Age=60; Path=/")) == "one"
    assert jar.take(Response("gmf_token=two; Max-Age=60; Path=/", "other=x")) == "two"
    assert token_of(jar.headers()) == "two"
    assert jar.take(Response()) is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert token_of(jar.headers()) is None
    assert jar.take(Response(header="three")) == "three"
    assert token_of(jar.headers()) == "three"
