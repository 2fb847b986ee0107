"""Can the documentation be read in a real browser, on a phone too, with all its pictures?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from django_gmf_router.testing.plugin import refuse

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PICTURES = sorted(path for path in DOCS.rglob("*.svg") if "_build" not in path.parts)
# The theme hides what is wider than the window, and lets the column of the text be moved aside.
WIDER = """() => Array.from(document.querySelectorAll("html, .content"))
    .some(element => element.scrollWidth > element.clientWidth)"""
MARGIN = 4.5
"""How far a text keeps from the sides of its box at least: in a wider font it would touch them."""
BROKEN = "() => Array.from(document.images).filter(image => !image.naturalWidth).map(image => image.src)"
OVERFLOWING = """margin => {
  const scale = document.documentElement.getScreenCTM().a;
  const edges = element => {
    const { left, right, top, bottom, width, height } = element.getBoundingClientRect();
    return { left, right, top, bottom, area: width * height };
  };
  const boxes = Array.from(document.querySelectorAll("rect, circle"), edges).sort((a, b) => a.area - b.area);
  return Array.from(document.querySelectorAll("text")).filter(text => {
    const { left, top, right, bottom } = edges(text);
    const x = (left + right) / 2, y = (top + bottom) / 2;
    const around = boxes.find(box => box.left < x && x < box.right && box.top < y && y < box.bottom);
    return !around || Math.min(left - around.left, around.right - right) < margin * scale
      || top < around.top || bottom > around.bottom;
  }).map(text => text.textContent);
}"""


@pytest.fixture(scope="module")
def built() -> Path:
    """The pages, built anew where something has changed since `make docs`."""
    if find_spec("sphinx") is None:
        refuse("sphinx is missing: pip install -r requirements/docs.txt")
    pages = DOCS / "_build" / "html"
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", DOCS, pages], cwd=ROOT, check=True)
    return pages


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[Page]:
    """A window of a phone's size."""
    page = browser.new_page(viewport={"width": 400, "height": 800})
    yield page
    page.close()


@pytest.fixture
def said(phone: Page) -> Iterator[list[str]]:
    """What goes wrong in the window."""
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        said.extend([message.text] if message.type in {"error", "warning"} else [])

    def fail(error: Exception) -> None:
        said.append(str(error))

    phone.on("console", hear)
    phone.on("pageerror", fail)
    yield said
    phone.remove_listener("console", hear)
    phone.remove_listener("pageerror", fail)


def test_each_page_fits_on_a_phone_shows_its_pictures_and_has_no_errors(
    phone: Page, said: list[str], built: Path
) -> None:
    wrong: dict[str, list[str]] = {}
    for path in sorted(built.rglob("*.html")):
        phone.goto(path.as_uri())
        wider = ["it is wider than the window"] if phone.evaluate(WIDER) else []
        wrong[str(path.relative_to(built))] = [*wider, *phone.evaluate(BROKEN), *said]
        said.clear()
    assert wrong
    assert {path: found for path, found in wrong.items() if found} == {}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_each_text_of_a_picture_keeps_within_its_box(phone: Page, said: list[str], path: Path) -> None:
    phone.goto(path.as_uri())
    assert phone.locator("text").count()
    assert phone.evaluate(OVERFLOWING, MARGIN) == []
    assert said == []
