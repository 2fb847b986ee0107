"""What do all tests share?"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import hypothesis
import pytest
from django.db import connections
from django.test import RequestFactory

from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.routing.lazy_response import within
from django_gmf_router.routing.unit_of_work import NOWHERE, UnitOfWork, current_place

# How long a test takes is the benchmarks' business, and this machine may be busy.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("here")

STOP_SECONDS = 10
OpenUnit = Callable[..., AbstractContextManager[UnitOfWork]]


def pytest_configure() -> None:
    """Take signals that a shell makes what it runs in the background ignore: what the tests start would too."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture
def open_request() -> OpenUnit:
    """Open a unit of work for a request, as the middleware does."""

    @contextmanager
    def open_it(method: str = "GET", path: str = "/") -> Iterator[UnitOfWork]:
        unit = UnitOfWork(RequestFactory().generic(method, path))
        with within(unit):
            yield unit
        unit.close()

    return open_it


@pytest.fixture
def unmirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the router answer the replicas' own aliases, as in production, but watch no node."""
    monkeypatch.setattr(Monitor, "ensure", lambda self: None)
    for alias in ("replica_1", "replica_2"):
        monkeypatch.setitem(connections.settings[alias]["TEST"], "MIRROR", None)


@pytest.fixture(autouse=True)
def _nothing_is_watched_any_more(request: pytest.FixtureRequest) -> Iterator[Any]:
    """After a test without a cluster no health monitor goes on: it would log in the tests that follow."""
    before = set(threading.enumerate())
    yield
    if request.node.get_closest_marker("cluster") is None:
        watch = [thread for thread in threading.enumerate() if thread.name.startswith("gmf-") and thread not in before]
        for thread in watch:
            thread.join(STOP_SECONDS)  # of one that was stopped a probe may be under way
        assert [thread.name for thread in watch if thread.is_alive()] == []


@pytest.fixture(autouse=True)
def _nothing_is_left_in_the_context() -> Iterator[Any]:
    """After each test its context is as empty as before."""
    yield
    assert current_place.get() is NOWHERE
