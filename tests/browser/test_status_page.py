"""Does the status page show in a real browser what happens, to everybody, and can it be steered by?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from django_gmf_router.testing import LocalCluster
from tests.browser.stage import INTERVAL, LOOKER, MAX_LAG, NARROW, TIMEOUT, WIDE, log_in, obstacles, visit
from tests.cluster.sites import Site
from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

NOTHING_IS_SAID = """
INSERT INTO gmf_router_control (changed_at, changed_by, state, reason) VALUES (now(), 'the tests', '{}', '')
"""
PATIENCE = 15_000  # milliseconds; two noisy cores


@pytest.fixture(autouse=True)
def _unsteered(gmf_cluster: LocalCluster) -> Any:
    yield
    gmf_cluster.heal()
    # A process that has not heard of the end of a drain would not hear of it from an empty table either.
    gmf_cluster.execute("primary", NOTHING_IS_SAID)


def row(page: Page, node: str) -> Locator:
    return page.locator("[data-table=nodes] tr", has=page.locator("th", has_text=re.compile(f"^{node}$")))


def expect(locator: Locator) -> Any:
    from playwright.sync_api import expect as of_playwright

    return of_playwright(locator)


def states(page: Page) -> list[str]:
    return [row(page, node).get_attribute("data-mark") or "" for node in ("default", "replica_1", "replica_2")]


def test_an_operator_logs_in_and_sees_the_nodes(page: Page) -> None:
    assert page.get_by_role("heading", level=1).inner_text() == "Status of the clusters"
    expect(page.locator(".gmf-summary")).to_have_text("All nodes are up.", timeout=PATIENCE)
    assert states(page) == ["up", "up", "up"]
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", row(page, "replica_1").locator("[data-field=position]").inner_text())
    assert row(page, "replica_1").locator("[data-field=share]").inner_text() == "50%"
    expect(page.locator("[data-chart=lag] .gmf-legend li")).to_have_text(["replica_1", "replica_2"])
    assert page.locator("canvas").count() == 2


def test_a_node_that_dies_is_shown_within_two_intervals_and_its_return_too(
    page: Page, gmf_cluster: LocalCluster
) -> None:
    expect(page.locator(".gmf-summary")).to_have_text("All nodes are up.", timeout=PATIENCE)
    gmf_cluster.kill("replica_1")
    died = time.monotonic()
    expect(page.locator(".gmf-summary")).to_have_text("replica_1 is down.", timeout=PATIENCE)
    assert time.monotonic() - died < 2 * INTERVAL
    expect(row(page, "replica_1").locator("[data-field=state]")).to_contain_text("down since")
    expect(row(page, "replica_1").locator("[data-field=error]")).not_to_have_text("-")
    gmf_cluster.restart("replica_1")
    expect(page.locator(".gmf-summary")).to_have_text("All nodes are up.", timeout=PATIENCE)


def fall_behind(cluster: LocalCluster, node: str) -> None:
    cluster.pause(node)
    cluster.execute("primary", "INSERT INTO library_author (name) VALUES ('late')")


@pytest.mark.parametrize(
    ("fault", "node", "told", "unseen"),
    [
        (LocalCluster.kill, "primary", "default is down.", 0.0),
        (LocalCluster.freeze, "replica_2", "replica_2 is down.", INTERVAL + TIMEOUT),
        (fall_behind, "replica_2", "replica_2 is lagging.", INTERVAL + MAX_LAG),
        (LocalCluster.promote, "replica_2", "replica_2 is down.", 0.0),
    ],
    ids=["primary killed", "replica frozen", "replica behind", "replica promoted"],
)
def test_each_fault_is_shown_within_two_intervals(
    page: Page, gmf_cluster: LocalCluster, fault: Callable[..., None], node: str, told: str, unseen: float
) -> None:
    """It takes the health monitor `unseen` seconds at most to call it one."""
    expect(page.locator(".gmf-summary")).to_have_text("All nodes are up.", timeout=PATIENCE)
    fault(gmf_cluster, node)
    done = time.monotonic()
    expect(page.locator(".gmf-summary")).to_have_text(told, timeout=PATIENCE)
    assert time.monotonic() - done < unseen + 2 * INTERVAL


def test_the_share_is_set_and_reset(page: Page) -> None:
    page.get_by_label("Per cent").fill("25")
    page.locator("form", has_text="Per cent").get_by_label("Reason").fill("<b>a bad day</b>")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text("Replicas serve 25% of the clients of default.")
    facts = page.locator(".gmf-facts")
    expect(facts).to_contain_text("Replicas serve 25% of the clients, by an operator.", timeout=PATIENCE)
    expect(facts).to_contain_text("by chief: <b>a bad day</b>", timeout=PATIENCE)
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".messagelist")).to_contain_text("what SHARE says, 100%")
    expect(facts).to_contain_text("Replicas serve 100% of the clients, by SHARE.", timeout=PATIENCE)


def test_a_replica_is_drained_and_serves_again(page: Page) -> None:
    page.get_by_label("Replica", exact=True).select_option("replica_1")
    page.get_by_role("button", name="Drain", exact=True).click()
    expect(row(page, "replica_1").locator("[data-field=state]")).to_have_text("up, drained", timeout=PATIENCE)
    expect(row(page, "replica_2").locator("[data-field=share]")).to_have_text("100%", timeout=PATIENCE)
    page.get_by_label("Replica", exact=True).select_option("replica_1")
    page.get_by_role("button", name="Undrain").click()
    expect(row(page, "replica_1").locator("[data-field=state]")).to_have_text("up", timeout=PATIENCE)


def test_maintenance_goes_on_and_off(page: Page) -> None:
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".gmf-facts")).to_contain_text("Maintenance is on", timeout=PATIENCE)
    page.get_by_role("button", name="Turn off").click()
    expect(page.locator(".gmf-facts")).not_to_contain_text("Maintenance is on", timeout=PATIENCE)


def test_a_question_is_asked_and_answered_by_the_keyboard(page: Page) -> None:
    page.get_by_label("Method").focus()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type("get")
    page.keyboard.press("Tab")
    page.keyboard.type("/s/abc?x=1")
    page.keyboard.press("Enter")
    answer = page.locator(".gmf-answer")
    expect(answer).to_contain_text("GET /s/abc")
    expect(answer).to_contain_text("primary, default, reason master_override")


def test_a_rule_is_counted_while_one_looks(page: Page, site: Site) -> None:
    requests = page.locator("tr", has_text="/s/.*").locator("[data-field=requests]")
    expect(requests).to_have_text("never", timeout=PATIENCE)

    def is_counted() -> bool:
        # On a new connection: each process counts its own, and the page may be told by another one.
        httpx.get(f"{site.url}/s/abc", timeout=30)
        return re.fullmatch(r"\d+", requests.inner_text()) is not None

    until(is_counted, PATIENCE / 1000)


def test_who_may_only_look_is_shown_no_buttons_and_no_hosts(
    browser: Browser, site: Site, gmf_cluster: LocalCluster
) -> None:
    gmf_cluster.kill("replica_1")
    with visit(browser, site) as page:
        log_in(page, LOOKER)
        expect(page.locator(".gmf-summary")).to_have_text("replica_1 is down.", timeout=PATIENCE)
        assert page.locator("#gmf-status form").count() == 1  # the question
        assert "127.0.0.1" not in page.locator("#gmf-status").inner_text()


def test_who_is_logged_out_is_told_so(page: Page, site: Site) -> None:
    page.context.clear_cookies()
    expect(page.locator("[data-shown=connection]")).to_contain_text("You are logged out", timeout=PATIENCE)


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_the_page_tells_all_without_scripts(browser: Browser, site: Site, size: tuple[int, int]) -> None:
    with visit(browser, site, size=size, java_script_enabled=False) as page:
        log_in(page)

        def is_whole() -> bool:
            page.reload()
            return states(page) == ["up", "up", "up"]

        until(is_whole, PATIENCE / 1000)
        page.get_by_label("Path").fill("/where")
        page.get_by_role("button", name="Explain").click()
        assert "replica, replica_1 or replica_2, reason read_method" in page.locator(".gmf-answer").inner_text()
        page.get_by_label("Per cent").fill("50")
        page.get_by_role("button", name="Set", exact=True).click()
        assert "Replicas serve 50% of the clients of default." in page.locator(".messagelist").inner_text()


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_serious_is_in_the_way_of_anybody(
    browser: Browser, site: Site, size: tuple[int, int], gmf_cluster: LocalCluster
) -> None:
    with visit(browser, site, size=size) as page:
        log_in(page)
        page.goto("/gmf/status?method=GET&path=/s/abc")
        gmf_cluster.kill("replica_1")
        expect(page.locator(".gmf-summary")).to_have_text("replica_1 is down.", timeout=PATIENCE)
        assert obstacles(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
