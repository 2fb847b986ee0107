"""What do the tests in a real browser share?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from tests.browser import stage
from tests.cluster.sites import Site
from tests.turns import keep_in_turn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is in this folder; in CI each test of both demos meets one of them, in its turn."""
    own = [item for item in items if "/browser/" in item.path.as_posix()]
    for item in own:
        item.add_marker(pytest.mark.cluster)
    keep_in_turn(config, items, own, stage.DEMOS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    if lacking := stage.missing():
        refuse(f"a browser is missing: {lacking}")
    with stage.browser() as started:
        yield started


@pytest.fixture(scope="module")
def site(browser: Browser, _gmf_session_cluster: LocalCluster) -> Iterator[Site]:
    """The site, with the people who look at it."""
    with stage.site(_gmf_session_cluster) as running:
        yield running


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The status page, in the window of an operator."""
    with stage.visit(browser, site) as window:
        stage.log_in(window)
        yield window
