"""What did a fault do to a load? A run: a load without a fault, the fault, the load with it; figures; budgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Answer, Load
from tests.chaos.sites import HANG_SECONDS, INTERVAL, ChaosSite
from tests.waiting import until

REQUESTS = 1000
BASELINE_REQUESTS = 300
LONG_SECONDS = 60.0  # by which a run fails, not which it waits
FAST_SECONDS = 1.0
RETURN_SECONDS = 3 * INTERVAL
RUNS: list[Run] = []
"""All runs, whose figures are printed at the end."""
NOTES: list[str] = []
"""What else is printed then."""


class Run:
    """A load on a site, and what a fault did to it."""

    def __init__(self, site: ChaosSite, fault: str, *, paths: Sequence[str] | None = None, **load: Any) -> None:
        """Take the site, the name of the fault, and what the load asks for."""
        self.site = site
        self.load = Load(site.url, paths or site.pages, **load)
        self.struck_at: float | None = None
        self._fault = fault
        self._notes: list[str] = []
        self._log_start = len(site.log())

    def log(self) -> str:
        """Return what the site logged since this run began."""
        return self.site.log()[self._log_start :]

    def strike(self, fault: Callable[[], object]) -> None:
        """Let the fault happen."""
        self.struck_at = time.monotonic()
        fault()
        self.note(f"fault took {time.monotonic() - self.struck_at:.2f} s")

    def go_on(self, seconds: float = 0.0) -> None:
        """Go on until a request was begun so many seconds after the fault, and there were enough of them."""
        end = self._struck() + seconds
        until(
            lambda: self.load.answers and self.load.answers[-1].began >= end, seconds + LONG_SECONDS, "requests go on"
        )
        self.load.wait_for(REQUESTS)

    def serves_again(self, port: int, since: float, within_seconds: float = RETURN_SECONDS) -> float:
        """Wait until every worker was served by the node on this port, and answer after how many seconds."""
        workers = {answer.body["pid"] for answer in self.load.answers if "pid" in answer.body}

        seen = len(self.load.answers)
        served: set[int] = set()

        def serve() -> bool:
            nonlocal seen
            late, seen = self.load.answers[seen:], len(self.load.answers)
            served.update(answer.body["pid"] for answer in late if answer.body.get("port") == port)
            return served >= workers

        until(serve, 10 * within_seconds, f"the node on port {port} serves again")
        seconds = time.monotonic() - since
        self.note(f"back after {seconds:.2f} s")
        return seconds

    def note(self, text: str) -> None:
        """Keep a line for the report."""
        self._notes.append(text)

    def __enter__(self) -> Run:
        self.load.__enter__()
        self.load.wait_for(BASELINE_REQUESTS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.load.__exit__(kind, error, traceback)
        if self.struck_at is not None:
            RUNS.append(self)

    # Figures

    @property
    def baseline(self) -> list[Answer]:
        """The requests that were answered before the fault."""
        return [answer for answer in self.load.answers if answer.ended < self._struck()]

    @property
    def answers(self) -> list[Answer]:
        """The requests that were in flight at the fault or came later."""
        return [answer for answer in self.load.answers if answer.ended >= self._struck()]

    @property
    def failed(self) -> list[Answer]:
        return [answer for answer in self.load.answers if answer.is_failed]

    def begun_after(self, seconds: float) -> list[Answer]:
        """The requests that began so many seconds after the fault or later; some did."""
        found = [answer for answer in self.load.answers if answer.began >= self._struck() + seconds]
        assert found, f"no request began {seconds:g} s after the fault: {self.line()}"
        return found

    def line(self) -> str:
        answers = self.load.answers
        flying = sum(answer.began < self._struck() for answer in self.answers)
        figures = (
            f"{len(answers)} requests, {len(self.failed)} failed, slowest {slowest(self.answers):.3f} s "
            f"(without the fault {slowest(self.baseline):.3f} s), {flying} in flight at the fault"
        )
        return f"{self._fault}, {self.site.name}: {'; '.join([figures, *self._notes])}"

    def check(self, slowest_seconds: float) -> None:
        """Assert what holds of every fault: enough requests, none failed, none slower than the budget."""
        assert len(self.load.answers) >= REQUESTS
        assert not self.failed, f"{self.line()}\n{listed(self.failed)}\n{self.site.errors()}"
        slow = [answer for answer in self.answers if answer.seconds > slowest_seconds]
        assert not slow, f"{self.line()}\n{listed(slow)}"

    def check_fast_after(self, seconds: float) -> None:
        """Assert that only requests suffered that began less than so many seconds after the fault."""
        slow = [answer for answer in self.begun_after(seconds) if answer.seconds > FAST_SECONDS]
        assert not slow, f"{self.line()}\n{listed(slow)}"

    def _struck(self) -> float:
        assert self.struck_at is not None
        return self.struck_at


def replica_killed(site: ChaosSite, cluster: LocalCluster, fault: str = "replica killed", **load: Any) -> Run:
    """Kill replica_1 under a load and restart it: no request fails, and each worker reads there again soon."""
    with Run(site, fault, **load) as run:
        run.strike(lambda: cluster.kill("replica_1"))
        run.go_on()
        cluster.restart("replica_1")
        back = run.serves_again(cluster.port("replica_1"), time.monotonic())
    run.check(FAST_SECONDS)
    assert back <= RETURN_SECONDS, run.line()
    return run


def replica_frozen(
    site: ChaosSite, cluster: LocalCluster, fault: str = "replica frozen", node: str = "replica_1"
) -> Run:
    """Freeze a replica under a load and thaw it: only what it was reading waits, and it serves again soon."""
    with Run(site, fault) as run:
        run.strike(lambda: cluster.freeze(node))
        run.go_on(HANG_SECONDS + 1)
        cluster.thaw(node)
        back = run.serves_again(cluster.port(node), time.monotonic())
    run.check(HANG_SECONDS)
    run.check_fast_after(HANG_SECONDS)
    assert back <= RETURN_SECONDS, run.line()
    return run


def slowest(answers: Sequence[Answer]) -> float:
    return max((answer.seconds for answer in answers), default=0.0)


def listed(answers: Sequence[Answer]) -> str:
    return "\n".join(map(str, answers[:10]))
