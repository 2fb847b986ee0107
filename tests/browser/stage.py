"""Where do the browsers go: which site, as whom, and in which program?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import Site, environment, manage, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

INTERVAL, TIMEOUT, MAX_LAG = 1.0, 2.0, 2.0
PASSWORD = "a password of the tests"
OPERATOR, LOOKER = "chief", "looker"
PEOPLE = f"""
from django.contrib.auth.models import User
User.objects.filter(username__in=["{OPERATOR}", "{LOOKER}"]).delete()
User.objects.create_superuser("{OPERATOR}", password="{PASSWORD}")
User.objects.create_user("{LOOKER}", password="{PASSWORD}", is_staff=True)
"""
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Chromium's sandbox refuses root. Maps are drawn by WebGL, here without a graphics card.
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
LIBRARIES = {"playwright": "playwright", "axe_playwright_python": "axe-playwright-python"}
WIDE, NARROW = (1600, 1000), (360, 740)
SCHEMES: tuple[Literal["light", "dark"], ...] = ("dark", "light")
SERIOUS = {"serious", "critical"}
CALM = "() => Promise.allSettled(document.getAnimations().map((each) => each.finished))"
WITH_POSTGIS = "with PostGIS"
DEMOS = [WITH_POSTGIS, "without PostGIS"]


def program() -> str | None:
    """Return where a browser is."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def missing() -> str | None:
    """Return what is missing here and how to get it."""
    lacking = [package for module, package in LIBRARIES.items() if find_spec(module) is None]
    commands = [f"pip install {' '.join(lacking)}"] if lacking else []
    commands += [] if program() else ["apt-get install --no-install-recommends chromium"]
    return "; ".join(commands) or None


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        try:
            yield started
        finally:
            started.close()


def environment_of(cluster: LocalCluster, settings: str = "tests.browser.settings") -> dict[str, str]:
    """Return the environment of a process of the site."""
    env = environment(cluster, router={"HEALTH": {"INTERVAL": INTERVAL, "TIMEOUT": TIMEOUT, "MAX_LAG": MAX_LAG}})
    return env | {"DJANGO_SETTINGS_MODULE": settings}


@contextmanager
def site(cluster: LocalCluster) -> Iterator[Site]:
    """Serve the site with its people, by several processes."""
    env = environment_of(cluster)
    for command in (["migrate", "--verbosity=0"], ["shell", "--verbosity=0", "-c", PEOPLE]):
        done = manage(env, *command)
        assert done.returncode == 0, done.stderr
    cluster.wait_for_replay()
    with served("gunicorn", env, application="tests.browser.served:wsgi") as running:
        yield running


@contextmanager
def visit(browser: Browser, site: Site, *, size: tuple[int, int] = WIDE, **options: Any) -> Iterator[Page]:
    """Open a window on the site of which nobody knows anything yet; nothing may go wrong in it."""
    width, height = size
    context = browser.new_context(base_url=site.url, viewport={"width": width, "height": height}, **options)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert not wrong, wrong


def log_in(page: Page, name: str = OPERATOR) -> None:
    """Ask for the page, and log in where it sends us."""
    page.goto("/gmf/status")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/gmf/status")


def obstacles(page: Page) -> list[str]:
    """Return what is seriously in the way of somebody on a page, in the light and in the dark."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        # The admin's links take their new colour by and by.
        page.evaluate(CALM)
        violations = Axe().run(page).response["violations"]
        found += [f"{each['id']}: {each['nodes']}" for each in violations if each["impact"] in SERIOUS]
    return found
