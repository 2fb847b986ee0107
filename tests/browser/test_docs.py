"""Can the documentation be read in a real browser, on a phone and on a desk, with all its pictures?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from django_gmf_router.testing.plugin import refuse

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PICTURES = sorted(path for path in DOCS.rglob("*.svg") if "_build" not in path.parts)
PHONE, DESK = (400, 800), (1400, 900)
WIDER = "() => document.scrollingElement.scrollWidth > innerWidth"
BROKEN = "() => Array.from(document.images).filter(image => !image.naturalWidth).map(image => image.src)"
OVERFLOWING = """() => {
  const edges = element => {
    const { x, y, width, height } = element.getBBox();
    return { left: x, top: y, right: x + width, bottom: y + height, area: width * height };
  };
  const boxes = Array.from(document.querySelectorAll("rect, circle"), edges).sort((a, b) => a.area - b.area);
  return Array.from(document.querySelectorAll("text")).filter(text => {
    const { left, top, right, bottom } = edges(text);
    const x = (left + right) / 2, y = (top + bottom) / 2;
    const around = boxes.find(box => box.left < x && x < box.right && box.top < y && y < box.bottom);
    return !around || left < around.left || right > around.right || top < around.top || bottom > around.bottom;
  }).map(text => text.textContent);
}"""


@pytest.fixture(scope="module")
def built() -> Path:
    """The pages, built anew where something has changed since `make docs`."""
    if find_spec("sphinx") is None:
        refuse("sphinx is missing: pip install -e .[docs]")
    pages = DOCS / "_build" / "html"
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", DOCS, pages], cwd=ROOT, check=True)
    return pages


@contextmanager
def window(browser: Browser, size: tuple[int, int], **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """A window, and what its console says."""
    width, height = size
    page, said = browser.new_page(viewport={"width": width, "height": height}, **options), []
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        yield page, said
    finally:
        page.close()


def test_each_page_fits_into_its_window_shows_its_pictures_and_has_no_errors(browser: Browser, built: Path) -> None:
    wrong: dict[str, list[Any]] = {}
    with window(browser, PHONE) as (page, said):
        for path in sorted(built.rglob("*.html")):
            page.goto(path.as_uri())
            found = [*page.evaluate(BROKEN)]
            for size in (PHONE, DESK):
                page.set_viewport_size({"width": size[0], "height": size[1]})
                found += [f"wider than {size[0]}"] if page.evaluate(WIDER) else []
            page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
            if found or said:
                wrong[str(path.relative_to(built))] = [*found, *said]
            said.clear()
    assert wrong == {}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_each_text_of_a_picture_is_within_its_box(browser: Browser, path: Path) -> None:
    with window(browser, DESK) as (page, said):
        page.goto(path.as_uri())
        assert page.locator("text").count()
        assert page.evaluate(OVERFLOWING) == []
        assert said == []
