"""Do the threads of the monitor see what happens to nodes, tell it once, and live as long as they must?"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from django_gmf_router.postgres.dialects import POSTGRESQL
from django_gmf_router.postgres.sockets import NodeSockets
from django_gmf_router.replicas import probe_threads
from django_gmf_router.replicas.health import NodeHealth, State
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.outbox import Outbox
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.replicas.states import NodeStates
from django_gmf_router.settings.sections import HealthConfig
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig
from django_gmf_router.signals import node_down, node_up
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[3]
PRIMARY = Reading(up=True, role="primary", position=100, timeline=1, started=1.0)
REPLICA = Reading(up=True, role="replica", position=100, started=1.0)
FAILED = Reading(up=False, error="server closed the connection")
REFUSED = Reading(up=False, error="connection refused", refused=True)
LONG_SECONDS = 10.0  # by which a test fails, not which it waits


class Fake:
    """The servers and the probes of a test: what each alias answers now, and how often it was asked."""

    def __init__(self, *, sends: bool = False) -> None:
        self.sends = sends
        """Whether a probe that was read once can be asked without its thread, as psycopg's."""
        self.cut: set[str] = set()
        """Whose sessions have ended by the time that the answer is looked for."""
        self.readings: dict[str, Any] = {"default": PRIMARY, "replica_1": REPLICA, "replica_2": REPLICA}
        self.asked: dict[str, int] = dict.fromkeys(self.readings, 0)
        self.open: dict[str, int] = dict.fromkeys(self.readings, 0)
        self.timeouts: set[float] = set()
        self.freed = FAILED
        self.hanging: dict[str, SimpleQueue[None]] = {alias: SimpleQueue() for alias in self.readings}

    def probe(self, alias: str, timeout_seconds: float, address: Any = None) -> FakeProbe:
        self.timeouts.add(timeout_seconds)
        self.open[alias] += 1
        return FakeProbe(self, alias)


class FakeProbe:
    connecting_seconds: float | None = None

    def __init__(self, fake: Fake, alias: str) -> None:
        self.fake = fake
        self.alias = alias
        self.closed = False
        self.can_send = False

    def read(self) -> Reading:
        return self._answer(6 * LONG_SECONDS)

    def send(self) -> bool:
        return self.can_send

    def receive(self) -> Reading | None:
        if self.alias in self.fake.cut:
            self.can_send = False
            return FAILED
        try:
            return self._answer(0.0)
        except Empty:
            self.fake.asked[self.alias] -= 1
            return None

    def _answer(self, timeout_seconds: float) -> Reading:
        self.can_send = False
        self.fake.asked[self.alias] += 1
        answer = self.fake.readings[self.alias]
        if answer == "hang":
            self.fake.hanging[self.alias].get(timeout=timeout_seconds or None, block=timeout_seconds > 0)
            return self.fake.freed
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Reading)
        self.can_send = self.fake.sends and answer.up
        return answer

    def abort(self) -> None:
        self.fake.hanging[self.alias].put(None)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.fake.open[self.alias] -= 1


@pytest.fixture(params=[False, True], ids=["asked in threads", "asked by one"])
def fake(request: pytest.FixtureRequest) -> Fake:
    """The servers, all well."""
    return Fake(sends=request.param)


@contextmanager
def a_monitor(fake: Fake, **options: Any) -> Iterator[Monitor]:
    health = HealthConfig(
        interval=options.pop("interval_seconds", 0.001),
        timeout=options.pop("timeout_seconds", LONG_SECONDS),
        max_lag=options.pop("max_lag_seconds", 10.0),
    )
    balanced = options.pop("balanced", ())
    replicas = tuple(ReplicaConfig(alias=alias, balanced=alias in balanced) for alias in ("replica_1", "replica_2"))
    if on_hang := options.pop("on_hang", None):
        options["sockets"] = SimpleNamespace(free=on_hang, shut=lambda *_: None, traffic=NodeSockets().traffic)
    config = ClusterConfig(primary="default", replicas=replicas, health=health)
    monitor = Monitor(config, probe=fake.probe, **options)  # type: ignore[arg-type]
    try:
        yield monitor
    finally:
        monitor.stop()


def states(monitor: Monitor) -> list[str]:
    return [health.state for health in monitor.snapshot.values()]


def threads_of(monitor: Monitor) -> list[threading.Thread]:
    assert monitor._threads is not None
    return [monitor._threads.thread, *(probing.thread for probing in monitor._threads._threads.values())]


# Start, read, end


def test_nothing_runs_and_nothing_is_opened_before_the_first_ensure(fake: Fake) -> None:
    before = threading.active_count()
    with a_monitor(fake) as monitor:
        assert threading.active_count() == before
        assert states(monitor) == [State.UP] * 3
        assert fake.open == dict.fromkeys(fake.open, 0)


def test_each_node_is_probed_by_a_thread_and_a_connection_of_its_own(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        for _ in range(100):
            monitor.ensure()
        assert monitor.wait(3, LONG_SECONDS)
        assert fake.open == dict.fromkeys(fake.open, 1)
        names = sorted(thread.name for thread in threads_of(monitor))
        assert names == ["gmf-monitor-default", "gmf-probe-default", "gmf-probe-replica_1", "gmf-probe-replica_2"]
        assert all(thread.daemon for thread in threads_of(monitor))
        assert fake.timeouts == {LONG_SECONDS}


def test_threads_that_ensure_at_the_same_time_start_one_crew(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        barrier = threading.Barrier(8)

        def ensure() -> None:
            barrier.wait()
            monitor.ensure()

        callers = [threading.Thread(target=ensure) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert monitor.wait(2, LONG_SECONDS)
        assert fake.open == dict.fromkeys(fake.open, 1)


def test_stop_ends_the_threads_closes_the_probes_and_is_for_good(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        monitor.ensure()
        assert monitor.wait(2, LONG_SECONDS)
        threads = threads_of(monitor)
        monitor.stop()
        assert not any(thread.is_alive() for thread in threads)
        assert fake.open == dict.fromkeys(fake.open, 0)
        monitor.ensure()
        assert not any(thread.is_alive() for thread in threads_of(monitor))


def test_stop_does_not_wait_for_a_probe_that_hangs(fake: Fake) -> None:
    fake.readings["replica_1"] = "hang"
    with a_monitor(fake) as monitor:
        monitor.ensure()
        until(lambda: fake.asked["replica_1"] == 1)
        monitor.stop()
        assert fake.open == dict.fromkeys(fake.open, 0)


def test_a_snapshot_is_replaced_and_never_changed(fake: Fake) -> None:
    with a_monitor(fake, interval_seconds=LONG_SECONDS) as monitor:
        before = monitor.snapshot
        monitor.report_failure("replica_1", "refused")
        assert before["replica_1"].state == State.UP
        assert monitor.snapshot is not before
        with pytest.raises(TypeError):
            monitor.snapshot["replica_1"] = before["replica_1"]  # type: ignore[index]


def test_a_request_goes_on_where_no_thread_can_be_had(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    now = [100.0]
    with a_monitor(fake, interval_seconds=1.0, clock=lambda: now[0]) as monitor:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            monitor.ensure()
            monitor.ensure()
        assert [vars(record)["event"] for record in caplog.records] == ["monitor_error"]
        now[0] = 101.0
        monitor.ensure()
        assert all(thread.is_alive() for thread in threads_of(monitor))


def test_a_node_whose_thread_cannot_be_started_once_is_asked_in_the_next_round(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, refused, hung = threading.Thread.start, [], []

    def refuse_once(thread: threading.Thread) -> None:
        if thread.name == "gmf-probe-replica_1" and not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_once)
    with a_monitor(fake, interval_seconds=0.2, on_hang=hung.append) as monitor:
        monitor.ensure()
        until(lambda: fake.asked["replica_1"] > 1)
        assert fake.asked["replica_2"] > 0
        assert states(monitor) == [State.UP] * 3
    assert (len(refused), hung) == (1, [])
    assert [vars(record)["event"] for record in caplog.records] == ["monitor_error"]


def test_what_was_known_before_a_pause_is_outdated_until_each_node_answered_twice(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    now = [100.0]
    config = ClusterConfig(primary="default", replicas=(ReplicaConfig(alias="replica_1"),))
    known = Monitor(config, clock=lambda: now[0])

    def answer(alias: str, reading: Reading) -> None:
        known.answered(Answer(alias=alias, reading=reading, started_at=now[0], finished_at=now[0]))

    assert not known.is_outdated()
    answer("default", PRIMARY)
    now[0] += 5.0  # three intervals and the time-out
    assert not known.is_outdated()
    now[0] += 0.1
    assert known.is_outdated()
    assert known.stood_still(101.0)
    assert not known.stood_still(104.5)  # no round was due since
    assert not known.stood_still(99.0)
    outdated = []
    for _ in range(2):
        for alias, reading in (("replica_1", REPLICA), ("default", PRIMARY)):
            answer(alias, reading)
            outdated.append(known.is_outdated())
    assert outdated == [True, True, True, False]
    known.note_outdated()
    known.note_outdated()
    assert [vars(record)["event"] for record in caplog.records] == ["monitor_late"]


def test_who_is_about_to_write_hears_first_what_operators_say_and_waits_no_longer_than_for_that(fake: Fake) -> None:
    fake.readings["default"] = replace(PRIMARY, control='1 {"drained": ["replica_1"]}')
    fake.readings["replica_1"] = fake.readings["replica_2"] = "hang"
    with a_monitor(fake, timeout_seconds=6 * LONG_SECONDS) as monitor:
        heard: list[Any] = []
        writer = threading.Thread(target=lambda: heard.append(monitor.hear()), daemon=True)
        writer.start()
        writer.join(LONG_SECONDS)
        assert [said.drained for said in heard] == [{"replica_1"}]
        for alias in ("replica_1", "replica_2"):
            fake.hanging[alias].put(None)


# What happens to nodes


def test_a_node_that_refuses_is_down_and_comes_back(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        fake.readings["replica_1"] = REFUSED
        monitor.ensure()
        until(lambda: monitor.is_down("replica_1"))
        assert monitor.health("replica_1").error == "connection refused"
        assert not monitor.is_down("replica_2")
        fake.readings["replica_1"] = REPLICA
        until(lambda: not monitor.is_down("replica_1"))
        assert monitor.health("replica_1").generation == 1


def test_a_probe_that_hangs_puts_its_node_down_is_freed_and_holds_up_no_other(fake: Fake) -> None:
    hung: list[tuple[str, bool]] = []
    with a_monitor(
        fake, timeout_seconds=0.05, on_hang=lambda alias: hung.append((alias, monitor.is_down(alias)))
    ) as monitor:
        fake.readings["replica_1"] = "hang"
        monitor.ensure()
        until(lambda: fake.asked["replica_2"] > 5)
        assert fake.asked["replica_1"] == 1
        until(lambda: fake.asked["replica_1"] > 1)
        assert hung[0] == ("replica_1", True)
        assert monitor.health("replica_1").error == "It did not answer within 0.05 s."
        fake.readings["replica_1"] = REPLICA
        fake.hanging["replica_1"].put(None)
        until(lambda: not monitor.is_down("replica_1"))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One for each publication; and whoever can wait for the last answer of a round does."""
    found: list[None] = []
    publish = NodeStates._publish
    monkeypatch.setattr(NodeStates, "_publish", lambda states: (found.append(None), publish(states))[1])
    monkeypatch.setattr(probe_threads, "GATHERING_SECONDS", 6 * LONG_SECONDS)
    return found


def test_answers_that_come_together_are_published_together(fake: Fake, published: list[None]) -> None:
    fake.readings["replica_1"], fake.freed = "hang", REPLICA
    with a_monitor(fake, interval_seconds=6 * LONG_SECONDS, timeout_seconds=6 * LONG_SECONDS) as monitor:
        monitor.ensure()
        assert monitor._threads is not None
        outbox = monitor._threads._outbox
        until(lambda: len(outbox._items) == 2)
        fake.hanging["replica_1"].put(None)
        assert monitor.wait(1, LONG_SECONDS)
    assert len(published) == 1


@pytest.mark.usefixtures("published")
def test_a_failure_is_told_at_once_while_others_have_not_answered(fake: Fake) -> None:
    fake.readings["replica_1"], fake.readings["replica_2"] = REFUSED, "hang"
    with a_monitor(fake, interval_seconds=6 * LONG_SECONDS, timeout_seconds=6 * LONG_SECONDS) as monitor:
        monitor.ensure()
        until(lambda: monitor.is_down("replica_1"))


def test_good_news_wait_no_longer_than_they_gather(fake: Fake) -> None:
    fake.readings["replica_2"] = "hang"
    with a_monitor(fake, interval_seconds=6 * LONG_SECONDS, timeout_seconds=6 * LONG_SECONDS) as monitor:
        monitor.ensure()
        until(lambda: monitor.health("replica_1").sampled_at is not None)


def test_an_answer_is_looked_for_at_once_by_who_asked(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float | None] = []
    wait = Outbox.wait
    monkeypatch.setattr(Outbox, "wait", lambda outbox, seconds=None: (waited.append(seconds), wait(outbox, seconds))[1])
    with a_monitor(fake, interval_seconds=0.2) as monitor:
        monitor.ensure()
        assert monitor.wait(3, LONG_SECONDS)
    assert (probe_threads.BREATH_SECONDS in waited) is fake.sends


def test_a_session_that_ended_is_no_failure_of_its_node(fake: Fake) -> None:
    fake.cut.add("replica_1")
    seen = set()
    with a_monitor(fake, interval_seconds=0.01) as monitor:
        monitor.ensure()
        for rounds in range(1, 8):
            assert monitor.wait(rounds, LONG_SECONDS)
            seen.add((monitor.health("replica_1").state, monitor.health("replica_1").error))
    assert seen == {(State.UP, None)}


def test_a_node_that_hung_once_is_asked_in_each_round_again(fake: Fake) -> None:
    with a_monitor(fake, interval_seconds=0.01, timeout_seconds=0.05) as monitor:
        monitor.ensure()
        assert monitor.wait(3, LONG_SECONDS)
        fake.readings["replica_1"] = "hang"
        for _ in range(2):
            asked = fake.asked["replica_1"]
            until(lambda asked=asked: monitor.is_down("replica_1") and fake.asked["replica_1"] > asked)  # type: ignore[misc]
        fake.readings["replica_1"] = REPLICA
        until(lambda: not monitor.is_down("replica_1"))


def test_nodes_that_hang_together_are_all_down_before_anything_is_freed(fake: Fake) -> None:
    # Long enough for the one that answers, and for both to be asked, however busy the machine is.
    seen: list[list[str]] = []
    with a_monitor(
        fake,
        interval_seconds=LONG_SECONDS,
        timeout_seconds=0.5,
        on_hang=lambda alias: seen.append(states(monitor)),
    ) as monitor:
        fake.readings["replica_1"] = fake.readings["replica_2"] = "hang"
        monitor.ensure()
        until(lambda: len(seen) == 2)
        assert seen[0] == [State.UP, State.DOWN, State.DOWN]


def test_what_a_hung_probe_says_at_last_does_not_count(fake: Fake) -> None:
    fake.readings["replica_1"], fake.freed = "hang", REPLICA
    with a_monitor(fake, interval_seconds=LONG_SECONDS, timeout_seconds=0.02) as monitor:
        monitor.ensure()
        until(lambda: monitor.is_down("replica_1"))
        assert monitor._threads is not None
        rounds = monitor._threads._rounds
        until(lambda: not rounds.is_busy("replica_1"))
        assert monitor.health("replica_1").sampled_at is None


def test_a_replica_behind_lags_and_a_primary_that_is_away_makes_it_serve(fake: Fake) -> None:
    with a_monitor(fake, max_lag_seconds=0.05) as monitor:
        fake.readings["default"] = Reading(up=True, role="primary", position=200, timeline=1, started=1.0)
        fake.readings["replica_2"] = Reading(up=True, role="replica", position=200, started=1.0)
        monitor.ensure()
        until(lambda: monitor.health("replica_1").state == State.LAGGING)
        assert monitor.health("replica_2").lag == 0.0
        fake.readings["default"] = REFUSED
        until(lambda: monitor.health("replica_1").state == State.UP)
        assert monitor.health("replica_1").lag is None
        assert monitor.is_down("default")


def test_a_replica_beyond_its_primary_has_diverged_until_it_restarts(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        fake.readings["replica_1"] = Reading(up=True, role="replica", position=101, started=1.0)
        monitor.ensure()
        until(lambda: monitor.is_down("replica_1"))
        assert "diverged" in str(monitor.health("replica_1").error)
        fake.readings["default"] = Reading(up=True, role="primary", position=300, timeline=1, started=1.0)
        asked = fake.asked["replica_1"]
        until(lambda: fake.asked["replica_1"] > asked + 5)
        assert monitor.is_down("replica_1")
        fake.readings["replica_1"] = Reading(up=True, role="replica", position=101, started=2.0)
        until(lambda: not monitor.is_down("replica_1"))


def test_a_promoted_replica_and_a_demoted_primary_are_down(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        fake.readings["default"], fake.readings["replica_1"] = REPLICA, PRIMARY
        monitor.ensure()
        until(lambda: monitor.is_down("default") and monitor.is_down("replica_1"))
        assert monitor.health("default").error == "The server says that it is a replica."
        assert monitor.health("replica_1").error == "The server says that it is a primary."


def test_a_failure_that_a_request_reports_is_watched_from_then_on(fake: Fake) -> None:
    with a_monitor(fake) as monitor:
        monitor.report_failure("replica_1", "connection refused")
        until(lambda: monitor.health("replica_1").generation == 1)


# What is told


@pytest.fixture
def told() -> Iterator[list[tuple[Any, ...]]]:
    """The signals that were sent: name, sender, cluster, state."""
    found: list[tuple[Any, ...]] = []

    def down(*, sender: str, cluster: str, health: NodeHealth, **kwargs: Any) -> None:
        found.append(("node_down", sender, cluster, health.state))

    def up(*, sender: str, cluster: str, health: NodeHealth, **kwargs: Any) -> None:
        found.append(("node_up", sender, cluster, health.state))

    node_down.connect(down)
    node_up.connect(up)
    yield found
    node_down.disconnect(down)
    node_up.disconnect(up)


def test_a_failure_that_a_request_reports_is_told_once_however_many_report_it(
    fake: Fake, told: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with a_monitor(fake, interval_seconds=LONG_SECONDS) as monitor:
        requests = [
            threading.Thread(target=monitor.report_failure, args=("replica_1", "connection refused")) for _ in range(8)
        ]
        for request in requests:
            request.start()
        for request in requests:
            request.join()
        assert monitor.is_down("replica_1")
    assert told == [("node_down", "replica_1", "default", "down")]
    (record,) = caplog.records
    assert record.getMessage() == "The replica replica_1 is down: connection refused"
    assert (record.levelname, vars(record)["event"], vars(record)["cluster"]) == ("WARNING", "node_down", "default")


def test_what_a_node_refuses_is_logged_once_and_that_time_decides_once_for_the_cluster(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    dialect = POSTGRESQL.without("pg_last_wal_replay_lsn")
    for alias in ("replica_1", "replica_2"):
        fake.readings[alias] = replace(REPLICA, position=None, dialect=dialect)
    fake.readings["default"] = replace(PRIMARY, dialect=POSTGRESQL)
    with a_monitor(fake) as monitor:
        monitor.ensure()
        assert monitor.wait(5, LONG_SECONDS)
        # What went down and is back says nothing new.
        fake.readings["replica_1"] = REFUSED
        until(lambda: monitor.is_down("replica_1"))
        fake.readings["replica_1"] = fake.readings["replica_2"]
        until(lambda: not monitor.is_down("replica_1"))
    by_event = [(vars(record)["event"], vars(record)["alias"]) for record in caplog.records]
    assert sorted(alias for event, alias in by_event if event == "facts_refused") == ["replica_1", "replica_2"]
    assert len([event for event, _ in by_event if event == "by_time"]) == 1


def test_changes_are_logged_each_once_under_their_names(
    fake: Fake, told: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    replicas = (REFUSED, Reading(up=True, role="replica", position=90, started=1.0), REPLICA)
    with a_monitor(fake, max_lag_seconds=0.02) as monitor:
        for reading, state in zip(replicas, (State.DOWN, State.LAGGING, State.UP), strict=True):
            fake.readings["replica_1"] = reading
            monitor.ensure()
            until(lambda state=state: monitor.health("replica_1").state == state)  # type: ignore[misc]
        asked = fake.asked["replica_1"]
        until(lambda: fake.asked["replica_1"] > asked + 5)
    events = [(record.levelname, vars(record)["event"]) for record in caplog.records]
    # Back within the limit first, beyond it while it goes on lagging.
    assert events in (
        [("WARNING", "node_down"), ("INFO", "node_up"), ("WARNING", "node_lagging"), ("INFO", "node_up")],
        [("WARNING", "node_down"), ("WARNING", "node_lagging"), ("INFO", "node_up")],
    )
    assert [name for name, *_ in told] == ["node_down", "node_up"]


def test_a_restart_that_leaves_a_node_up_raises_its_generation_and_is_not_told(
    fake: Fake, told: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with a_monitor(fake) as monitor:
        monitor.ensure()
        assert monitor.wait(1, LONG_SECONDS)
        fake.readings["replica_1"] = Reading(up=True, role="replica", position=100, started=2.0)
        until(lambda: monitor.health("replica_1").generation == 1)
    assert (told, caplog.records) == ([], [])


def test_one_that_does_not_announce_is_silent(fake: Fake, told: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    with a_monitor(fake, announces=False) as monitor:
        monitor.report_failure("replica_1", "refused")
    assert (told, caplog.records) == ([], [])


# What goes wrong in the monitor itself


def test_an_exception_in_a_probe_is_logged_and_two_put_the_node_down(
    fake: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    fake.readings["replica_1"] = ZeroDivisionError("oops")
    with a_monitor(fake) as monitor:
        monitor.ensure()
        until(lambda: monitor.is_down("replica_1"))
        fake.readings["replica_1"] = REPLICA
        until(lambda: not monitor.is_down("replica_1"))
    assert "monitor_error" in {vars(record)["event"] for record in caplog.records}


def test_an_exception_in_a_rescue_ends_nothing(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError

    with a_monitor(fake, timeout_seconds=0.02, on_hang=fail) as monitor:
        fake.readings["replica_1"] = fake.readings["replica_2"] = "hang"
        monitor.ensure()
        until(lambda: monitor.is_down("replica_1") and monitor.is_down("replica_2"))
        fake.readings["replica_1"] = fake.readings["replica_2"] = REPLICA
        until(lambda: not monitor.is_down("replica_1") and not monitor.is_down("replica_2"))
        threads = threads_of(monitor)
        assert all(thread.is_alive() for thread in threads)
    assert "monitor_error" in {vars(record)["event"] for record in caplog.records}


def test_an_exception_in_the_coordinator_is_logged_and_it_goes_on(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[float] = []

    def jitter(low: float, high: float) -> float:
        calls.append(low)
        if len(calls) < 3:
            raise ZeroDivisionError
        return 1.0

    with a_monitor(fake, jitter=jitter) as monitor:
        monitor.ensure()
        assert monitor.wait(2, LONG_SECONDS)
    assert [vars(record)["event"] for record in caplog.records] == ["monitor_error"] * 2


# A thread dies of what is no Exception: SystemExit ends it without a word. Not by PyThreadState_SetAsyncExc: until the
# thread wakes up, other threads that are traced, as for coverage, get no further in Python 3.11.


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_coordinator_that_died_is_started_again_by_the_next_unit_of_work(fake: Fake) -> None:
    dying = threading.Event()

    def jitter(low: float, high: float) -> float:
        if dying.is_set():
            raise SystemExit
        return 1.0

    with a_monitor(fake, jitter=jitter) as monitor:
        monitor.ensure()
        assert monitor.wait(2, LONG_SECONDS)
        threads = threads_of(monitor)
        dying.set()
        for thread in threads:
            thread.join(LONG_SECONDS)
        dying.clear()
        assert fake.open == dict.fromkeys(fake.open, 0)
        fake.readings["replica_1"] = REFUSED
        monitor.ensure()
        until(lambda: monitor.is_down("replica_1"))
        assert fake.open == dict.fromkeys(fake.open, 1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_probing_thread_that_died_is_started_again_and_its_node_stays_up(fake: Fake) -> None:
    fake.sends = False
    with a_monitor(fake) as monitor:
        monitor.ensure()
        assert monitor.wait(2, LONG_SECONDS)
        assert monitor._threads is not None
        thread = monitor._threads._threads["replica_1"].thread
        fake.readings["replica_1"] = SystemExit()
        thread.join(LONG_SECONDS)
        assert not thread.is_alive()
        fake.readings["replica_1"] = REPLICA
        asked = fake.asked["replica_1"]
        until(lambda: fake.asked["replica_1"] > asked + 2)
        assert not monitor.is_down("replica_1")
        assert fake.open["replica_1"] == 1


FORK = """
import ctypes, os, signal, socket, sys, threading, time, warnings
warnings.simplefilter("error")
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of os.fork in a process with threads: it is the test
import django
django.setup()
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.states import NodeStates
from tests.unit.replicas.test_monitor import Fake, REFUSED, REPLICA
from tests.waiting import until
fake = Fake()
from django_gmf_router.settings.values import parse
config = parse("default", {{"REPLICAS": ["replica_1", "replica_2"], "HEALTH": {{"INTERVAL": 0.3}}}})
from django_gmf_router.postgres.sockets import NodeSockets
sockets = NodeSockets()
monitor = Monitor(config, sockets=sockets, probe=fake.probe)
NodeStates.report_failure(monitor, "replica_2", "refused")
if {running}:
    monitor.ensure()
    assert monitor.wait(3, 10)
    until(lambda: not monitor.is_down("replica_2"))
if {locked}:
    inside, leave = threading.Event(), threading.Event()
    def hold():
        with monitor._lock:
            inside.set(); leave.wait()
    threading.Thread(target=hold, daemon=True).start()
    inside.wait()
near, far = socket.socketpair()
sockets.hold("replica_1", near)
# Nothing tells that the other threads sleep. One that wants Python's own lock just then leaves it locked in the child.
time.sleep(0.1)
pid = {fork}
if pid == 0:
    signal.alarm(50)
    fake.open = dict.fromkeys(fake.open, 0)
    assert monitor.is_down("replica_2") is (not {running})
    fake.readings["replica_1"] = REFUSED
    monitor.ensure()
    until(lambda: monitor.is_down("replica_1") and not monitor.is_down("replica_2"))
    assert fake.open == dict.fromkeys(fake.open, 1), fake.open
    sockets.shut("replica_1")
    far.send(b"x")
    assert near.recv(1) == b"x"
    mine, other = socket.socketpair()
    sockets.hold("replica_1", mine)
    sockets.shut("replica_1")
    assert mine.recv(1) == b""
    # Python ends here as it forked, without its own ways: they look for the threads of the parent.
    os._exit(0)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if {locked}:
    leave.set()
if {running}:
    assert not monitor.is_down("replica_1")
    fake.readings["replica_1"] = REFUSED
    until(lambda: monitor.is_down("replica_1"))
sys.exit(code)
"""


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python of its own until it ends."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("locked", [True, False])
# As uWSGI forks: in C, holding Python's lock, and without the hooks of `os.register_at_fork`.
@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
def test_a_forked_child_has_a_monitor_of_its_own_and_knows_what_its_parent_knew(
    running: bool, locked: bool, fork: str
) -> None:
    done = ended("-c", FORK.format(running=running, locked=locked, fork=fork))
    assert done.returncode == 0, done.stderr


def test_a_process_that_ends_closes_the_connections_of_its_monitor_and_says_nothing() -> None:
    begin = 'import atexit\natexit.register(lambda: print(sum(fake.open.values()), "left open"))\n'
    end = "monitor.ensure()\nassert monitor.wait(3, 10)\nassert sum(fake.open.values()) == 3\n"
    done = ended("-X", "dev", "-c", begin + FORK.partition("if {running}")[0].format() + end)
    assert done.returncode == 0
    assert done.stdout == "0 left open\n"
    assert done.stderr == "The replica replica_2 is down: refused\n"
