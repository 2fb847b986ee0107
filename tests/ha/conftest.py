"""What do the tests of high availability share?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from django_gmf_router.testing.plugin import refuse
from tests.chaos.runs import NOTES, RUNS
from tests.ha import engines
from tests.ha.machines import Machines
from tests.ha.sites import HaSite, behind_haproxy, migrate, on_hosts
from tests.summary import print_figures
from tests.turns import IS_SOAK

# Five elections more.
collect_ignore = [] if IS_SOAK else ["test_loss.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in this folder."""
    for item in items:
        if "/ha/" in item.path.as_posix():
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    """The machines, with the tables of the site."""
    if lacking := engines.missing():
        refuse(f"{__package__} needs {lacking}")
    with Machines() as running:
        migrate(running)
        yield running


@pytest.fixture(scope="session")
def sites(machines: Machines) -> Iterator[list[HaSite]]:
    """The site in each way to reach the databases."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(behind_haproxy(machines, "psycopg")),
            *(stack.enter_context(on_hosts(machines, driver)) for driver in ("psycopg", "psycopg2")),
        ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    print_figures(terminalreporter, "what the elections did", [*(run.line() for run in RUNS), *NOTES])
