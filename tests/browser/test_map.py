"""Does the demo's map show in a real browser who serves it, go on while replicas break, and show an edit at once?"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from django_gmf_router.testing.plugin import refuse
from testproject import postgis
from tests.browser import stage
from tests.cluster.sites import Site
from tests.demos import Demo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

PATIENCE = 30_000  # milliseconds; two noisy cores
SIZE = (1000, 760)
COLOURS = {"default": (0xD9, 0x48, 0x0F), "replica_1": (0x0B, 0x72, 0x85), "replica_2": (0x70, 0x48, 0xE8)}
BERN, LUGANO = "/#16/46.947/7.4474", "8.9,45.95,9.05,46.1"
# What a screenshot holds is counted by the browser itself, which can read it.
COUNT_COLOURS = """async (picture) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${picture}`)).blob());
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const {data} = context.getImageData(0, 0, bitmap.width, bitmap.height);
  const counts = {};
  for (let at = 0; at < data.length; at += 4) {
    const key = `${data[at]},${data[at + 1]},${data[at + 2]}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}"""


@pytest.fixture(scope="module", params=stage.DEMOS)
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Demo]:
    """The demo, and whether it has parcels."""
    has_parcels = request.param == stage.WITH_POSTGIS
    if has_parcels and (lacking := postgis.missing_for_the_map()):
        refuse(f"{__name__} needs {lacking}")
    running = Demo(tmp_path_factory.mktemp("demo"), parcels=700 if has_parcels else 0)
    running.wait_until_up()
    yield running
    running.clear()


@pytest.fixture(scope="module")
def window(demo: Demo, browser: Browser) -> Iterator[Page]:
    """A window in which nothing may go wrong; a small one, since a processor draws what is in it."""
    with stage.visit(browser, Site(host="127.0.0.1", port=demo.port, log=demo.output), size=SIZE) as opened:
        yield opened


@pytest.fixture
def page(window: Page) -> Page:
    """The window, just opened on Bern."""
    return show(window, BERN)


@pytest.fixture
def same_page(window: Page) -> Page:
    """The window as an earlier test left it, for those that change nothing."""
    return window if window.locator("body[data-map=loaded]").count() else show(window, BERN)


with_postgis = pytest.mark.parametrize("demo", [stage.WITH_POSTGIS], indirect=True, scope="module")


def show(page: Page, path: str) -> Page:
    # To another place of the page that is open already it would only move.
    page.goto("about:blank")
    page.goto(path)
    page.wait_for_selector("body[data-map=loaded]", timeout=PATIENCE)
    return page


def expect(locator: Locator) -> Any:
    from playwright.sync_api import expect as of_playwright

    return of_playwright(locator)


def number(page: Page, name: str) -> int:
    return int(page.locator(name).inner_text())


def served(page: Page) -> Counter[str]:
    """Return how many tiles the legend says that each node served."""
    rows = {alias: page.locator(f"#nodes tr[data-node={alias}] [data-field=tiles]").inner_text() for alias in COLOURS}
    return Counter({alias: int(text.split()[0]) for alias, text in rows.items()})


@contextmanager
def more_tiles(page: Page, more: int) -> Iterator[None]:
    """Wait at the end of the block until so many tiles came since its beginning; none may have failed."""
    wanted = number(page, "#tiles-total") + more
    yield
    page.wait_for_function("wanted => +document.getElementById('tiles-total').textContent >= wanted", arg=wanted)
    assert number(page, "#tiles-failed") == 0


def outlines(page: Page) -> set[str]:
    """Return the nodes whose colours are to be seen on the map."""
    picture = base64.b64encode(page.locator("#map").screenshot()).decode()
    counts = page.evaluate(COUNT_COLOURS, picture)
    # A line across the map has hundreds; an edge of a letter or a point has few.
    return {alias for alias, colour in COLOURS.items() if counts.get(",".join(map(str, colour)), 0) > 200}


def act(page: Page, action: str, node: str) -> None:
    """Press a button of the panel, and wait until it is done."""
    page.get_by_role("button", name=f"{action} {node}", exact=True).click()
    expect(page.locator("#outages output")).to_have_text(f"{node}: {action.lower()} done", timeout=PATIENCE)


def test_each_tile_is_outlined_in_the_colour_of_the_node_that_served_it(page: Page) -> None:
    page.get_by_label("again every second").check()
    page.wait_for_function(
        "() => ['replica_1', 'replica_2'].every(alias => "
        "parseInt(document.querySelector(`#nodes tr[data-node=${alias}] [data-field=tiles]`).textContent) > 3)",
        timeout=PATIENCE,
    )
    page.get_by_label("again every second").uncheck()
    seen = outlines(page)
    assert seen
    assert seen <= {alias for alias, count in served(page).items() if count}
    assert served(page)["default"] == 0
    assert page.locator("#last-tile [data-field=node]").inner_text() in {"replica_1", "replica_2"}
    assert page.locator("#last-tile [data-field=reason]").inner_text() == "read_method"
    assert number(page, "#tiles-failed") == 0


@with_postgis
def test_the_legend_tells_how_the_nodes_are(same_page: Page) -> None:
    row = same_page.locator("#nodes tr[data-node=replica_1]")
    expect(row.locator("[data-field=state]")).to_have_text("up", timeout=PATIENCE)
    expect(row.locator("[data-field=share]")).to_have_text("50 %", timeout=PATIENCE)
    expect(row.locator("[data-field=latency]")).to_have_text(re.compile(r"^\d+\.\d ms$"), timeout=PATIENCE)


@with_postgis
def test_panning_and_zooming_ask_for_other_tiles(page: Page) -> None:
    before = page.url
    box = page.locator("#map").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    with more_tiles(page, 1):
        page.mouse.move(box["x"] + box["width"] - 20, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 20, y, steps=5)
        page.mouse.up()
    with more_tiles(page, 1):
        page.get_by_role("button", name="Zoom out").click()
    page.wait_for_function("before => location.href !== before", arg=before)


def test_a_place_is_in_the_next_tile_also_while_a_replica_stands_still(page: Page) -> None:
    act(page, "Pause", "replica_1")
    page.get_by_label("again every second").uncheck()
    for edit in (1, 2):
        page.get_by_role("button", name="Add a place").click()
        page.locator("#map").click(position={"x": 200 + 60 * edit, "y": 150})
        expect(page.locator("#editing output")).to_contain_text(f"Seen at once: {edit} of {edit}.", timeout=PATIENCE)
    act(page, "Restart", "replica_1")


@with_postgis
def test_a_parcel_is_drawn_and_is_in_the_next_tile(page: Page) -> None:
    page.get_by_role("button", name="Draw a parcel").click()
    corners = [(150, 420), (250, 420), (250, 500), (150, 500), (150, 500)]
    for x, y in corners:
        page.locator("#map").click(position={"x": x, "y": y})
        page.wait_for_timeout(350)  # else two clicks are one double click
    expect(page.locator("#editing output")).to_contain_text("Seen at once: 1 of 1.", timeout=PATIENCE)


@with_postgis
def test_a_parcel_gets_another_shape(page: Page) -> None:
    (parcel,) = page.request.get("/collections/parcels/items?limit=1").json()["features"]
    corners = parcel["geometry"]["coordinates"][0][:-1]
    lon, lat = (sum(corner[axis] for corner in corners) / len(corners) for axis in (0, 1))
    show(page, f"/#18/{lat}/{lon}")
    page.get_by_role("button", name="Reshape a parcel").click()
    page.locator("#map").click()
    expect(page.locator("#editing output")).to_contain_text(
        f"Parcel {parcel['properties']['number']}, ", timeout=PATIENCE
    )
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#editing output")).to_contain_text("Seen at once: 1 of 1.", timeout=PATIENCE)
    assert page.request.get(f"/collections/parcels/items/{parcel['id']}").json()["properties"]["version"] == 2


@with_postgis
def test_the_map_goes_on_while_a_replica_is_killed_restarted_slowed_and_frozen(page: Page) -> None:
    state = page.locator("#nodes tr[data-node=replica_2] [data-field=state]")
    for action, seen in (("Kill", "down"), ("Restart", "up"), ("Slow", "up"), ("Freeze", "down")):
        act(page, action, "replica_2")
        expect(state).to_have_text(seen, timeout=PATIENCE)
        with more_tiles(page, 6):
            pass
    act(page, "Restart", "replica_2")
    assert number(page, "#tiles-failed") == 0


@with_postgis
def test_the_links_beside_the_map_tell_who_answered(same_page: Page) -> None:
    same_page.get_by_role("link", name="GET /places/count").click()
    expect(same_page.locator("#answer")).to_contain_text(re.compile("X-GMF-Database: replica_[12]; reason=read_method"))
    expect(same_page.locator("#requests")).to_contain_text("/places/count")


@with_postgis
def test_nothing_serious_is_in_the_way_of_anybody(same_page: Page) -> None:
    assert stage.obstacles(same_page) == []
    assert same_page.evaluate("document.documentElement.scrollWidth") <= SIZE[0]


@with_postgis
def test_the_admin_edits_a_parcel_on_the_map(page: Page) -> None:
    # In Lugano, so that it does not come to lie on what the other tests click.
    (parcel,) = page.request.get(f"/collections/parcels/items?limit=1&bbox={LUGANO}").json()["features"]
    page.goto(f"/admin/login/?next=/admin/parcels/parcel/{parcel['id']}/change/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector(".map-widget[data-map=loaded]", timeout=PATIENCE)
    field = page.locator("textarea[name=geom]")
    before = field.input_value()
    box = page.locator(".map-widget").bounding_box()
    assert box is not None
    # Its middle is dragged, and with it the whole parcel.
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 40, steps=5)
    page.mouse.up()
    expect(field).not_to_have_value(before, timeout=PATIENCE)
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".messagelist")).to_contain_text("was changed successfully", timeout=PATIENCE)
    moved = page.request.get(f"/collections/parcels/items/{parcel['id']}").json()["geometry"]["coordinates"]
    assert moved != parcel["geometry"]["coordinates"]
