"""How does what one looks at look? Pictures for the docs, made anew by `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from django_gmf_router.testing import LocalCluster
from tests.browser.stage import NARROW, browser, environment_of, log_in, missing, site, visit
from tests.cluster.sites import Site, manage, served
from tests.demos import Demo
from tests.pictures import terminal
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
TOOLBAR = (1100, 560)
PANELS = {"toolbar-sql": "SQLPanel", "toolbar-routing": "RoutingPanel"}
SECONDS, LATE, CAUGHT_UP = 24, 8, 12
MAP = (1440, 900)
PARCELS = 10_000
SETTLED_MILLISECONDS = 3000
SPACE = 24
STATUS = (1040, 900)
"""As narrow as the page keeps its tables: beside a text of some 740 pixels its letters can still be read."""
PICTURES: dict[str, dict[str, Any]] = {
    "status-wide": {"size": STATUS, "device_scale_factor": 2},
    "status-dark": {"size": STATUS, "device_scale_factor": 2, "color_scheme": "dark"},
    "status-narrow": {"size": NARROW},
}
CLOSED_SIDEBAR = "localStorage.setItem('django.admin.navSidebarIsOpen', 'false')"


def main() -> None:
    """Make them all."""
    if lacking := missing():
        sys.exit(f"A browser is missing: {lacking}")
    IMAGES.mkdir(exist_ok=True)
    with LocalCluster(replicas=2) as cluster, site(cluster) as running, browser() as started, traffic(running):
        for name, options in PICTURES.items():
            with visit(started, running, **options) as page:
                page.add_init_script(CLOSED_SIDEBAR)
                log_in(page)
                page.goto("/gmf/status")
                _let_time_pass(page, cluster)
                page.screenshot(path=IMAGES / f"{name}.png", full_page=True, clip=_down_to_the_switches(page))
            print(f"docs/images/{name}.png")
        _toolbar(cluster, started)
        _lagging(cluster)
        for name in _map(started):
            print(f"docs/images/{name}.png")


def _map(browser: Browser) -> Iterator[str]:
    """Take the pictures of the demo's map: all is well, a replica is down, and a parcel gets another shape."""
    with tempfile.TemporaryDirectory() as directory:
        demo = Demo(Path(directory), parcels=PARCELS)
        demo.wait_until_up()
        try:
            with visit(browser, Site(host="127.0.0.1", port=demo.port, log=demo.output), size=MAP) as page:
                yield from _pictures(page)
        finally:
            demo.clear()


def _pictures(page: Page) -> Iterator[str]:
    def take(name: str) -> str:
        page.mouse.move(0, 0)
        page.wait_for_timeout(SETTLED_MILLISECONDS)
        page.screenshot(path=IMAGES / f"{name}.png")
        return name

    page.goto("/")
    page.wait_for_selector("body[data-map=loaded]")
    yield take("map-country")
    page.get_by_role("button", name="Kill replica_1").click()
    page.locator("#nodes tr[data-node=replica_1][data-state=down]").wait_for()
    yield take("map-killed")
    page.get_by_role("button", name="Restart replica_1").click()
    page.locator("#nodes tr[data-node=replica_1][data-state=up]").wait_for()
    page.get_by_label("again every second").uncheck()
    page.goto("/#16.5/46.947/7.4474")
    page.reload()
    page.wait_for_selector("body[data-map=loaded]")
    page.wait_for_timeout(SETTLED_MILLISECONDS)
    page.get_by_role("button", name="Reshape a parcel").click()
    box = page.locator("#map").bounding_box() or {"width": 0.0, "height": 0.0}
    page.locator("#map").click(position={"x": box["width"] / 2, "y": box["height"] / 2 + 20})
    page.get_by_role("button", name="Save").wait_for()
    yield take("map-edit")


@contextmanager
def traffic(running: Site) -> Iterator[None]:
    """Ask for pages until the block ends, so that there is something to see."""
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=running.url, timeout=30) as client:
            while not over.wait(0.05):
                for path in ("/where", "/books", "/where", "/s/abc"):
                    client.get(path)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _let_time_pass(page: Page, cluster: LocalCluster) -> None:
    """Look on for a while, in which a replica falls behind and catches up."""
    for second in range(SECONDS):
        page.wait_for_timeout(1000)
        if second == LATE:
            cluster.pause("replica_2")
            cluster.execute("primary", "INSERT INTO library_author (name) VALUES ('late')")
        if second == CAUGHT_UP:
            cluster.resume("replica_2")


def _down_to_the_switches(page: Page) -> FloatRect:
    switches = page.locator(".gmf-steer").bounding_box()
    assert switches
    width = page.viewport_size["width"] if page.viewport_size else 0
    return {"x": 0, "y": 0, "width": width, "height": switches["y"] + switches["height"] + SPACE}


def _toolbar(cluster: LocalCluster, browser: Browser) -> None:
    """Show the panels of the debug toolbar, for a page that reads, writes and reads again."""
    env = environment_of(cluster, "tests.cluster.toolbar_settings")
    # The toolbar keeps what it saw in the memory of its process.
    with (
        served("gunicorn", env, workers=1, application="tests.browser.served:wsgi") as running,
        visit(browser, running, size=TOOLBAR) as page,
    ):
        page.goto("/visit")
        for name, panel in PANELS.items():
            page.locator(f"#djdt-{panel} a").click()
            page.locator(f"#{panel} table").first.wait_for()
            page.screenshot(path=IMAGES / f"{name}.png")
            print(f"docs/images/{name}.png")
            page.locator(f"#{panel} .djDebugClose").click()


def _lagging(cluster: LocalCluster) -> None:
    """Draw what `gmf_status` prints while a replica lags."""
    cluster.pause("replica_2")
    cluster.execute("primary", "INSERT INTO library_author (name) VALUES ('late')")
    env = environment_of(cluster)
    printed = until(lambda: _status_that_says("lagging", env))
    cluster.resume("replica_2")
    (ROOT / terminal.LAGGING).write_text(terminal.drawn(printed), encoding="utf-8")
    print(terminal.LAGGING)


def _status_that_says(state: str, env: dict[str, str]) -> str:
    printed = manage(env, "gmf_status", "--force-color").stdout
    return printed if state in printed else ""


if __name__ == "__main__":
    main()
