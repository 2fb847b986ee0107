"""What do the chaos tests share?"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.runs import NOTES, RUNS
from tests.chaos.sites import COMBINATIONS, ChaosSite, chaos_site
from tests.cluster.sites import environment, manage
from tests.summary import print_figures
from tests.turns import IS_SOAK, keep_in_turn

collect_ignore = [] if IS_SOAK else ["test_soak.py"]
LIBRARY = """
from django.db import transaction
from tests.books.models import Author, Book, Note, Tag
with transaction.atomic():
    if not Note.objects.exists():
        tags = [Tag.objects.get_or_create(name=f"tag {number}")[0] for number in range(3)]
        for number in range(5):
            author = Author.objects.create(name=f"author {number}")
            book = Book.objects.create(title=f"book {number}", author=author)
            book.tags.set(tags)
            Note.objects.create(text=f"note {number}", about=author)
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder; in CI each fault meets one site, in its turn."""
    own = [item for item in items if "/chaos/" in item.path.as_posix()]
    for item in own:
        item.add_marker(pytest.mark.cluster)
    keep_in_turn(config, items, own, ["-".join(each) for each in COMBINATIONS])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    print_figures(terminalreporter, "what the faults did", [*(run.line() for run in RUNS), *NOTES])


def fill(cluster: LocalCluster) -> None:
    """Make the tables of the site and a few rows, and wait for every node to have them."""
    env = environment(cluster)
    for command in (["migrate", "--verbosity=0"], ["shell", "--verbosity=0", "-c", LIBRARY]):
        done = manage(env, *command)
        assert done.returncode == 0, done.stderr
    cluster.wait_for_replay()


@pytest.fixture(scope="session")
def library(_gmf_session_cluster: LocalCluster) -> LocalCluster:
    """The cluster with the tables of the site and a few rows on every node."""
    fill(_gmf_session_cluster)
    return _gmf_session_cluster


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def served_site(request: pytest.FixtureRequest, library: LocalCluster) -> Iterator[ChaosSite]:
    """The site, served by a web server on a driver."""
    with chaos_site(*request.param, library) as running:
        yield running


@pytest.fixture
def cluster(gmf_cluster: LocalCluster, library: LocalCluster) -> LocalCluster:
    """The cluster, whole at the start of every test."""
    return gmf_cluster


@pytest.fixture
def site(served_site: ChaosSite, cluster: LocalCluster) -> ChaosSite:
    """The site on the whole cluster."""
    served_site.wait_until_whole()
    return served_site
