"""Does `make demo` serve from the nodes it says, let its page break them, and end without a trace?"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import httpx
import pytest

from tests.demos import Demo
from tests.waiting import listens, until

pytestmark = pytest.mark.cluster


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One of its own, to be ended."""
    running = Demo(tmp_path_factory.mktemp("demo"), parcels=0)
    yield running
    running.clear()


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Somebody who has opened the map of a demo, with parcels where PostGIS is."""
    running = Demo(tmp_path_factory.mktemp("demo"))
    running.wait_until_up()
    with httpx.Client(base_url=running.url) as client:
        yield client
    running.clear()


def press(client: httpx.Client, action: str, node: str) -> httpx.Response:
    """Press a button of the panel."""
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/").text)
    return client.post(f"/outages/{action}/{node}", headers={"X-CSRFToken": token})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_serves_and_a_signal_ends_all_that_it_started_a_slow_replica_too(demo: Demo, number: int) -> None:
    demo.wait_until_up()
    ports = demo.node_ports()
    page = demo.get("/requests")
    with httpx.Client(base_url=demo.url) as client:
        slowed = press(client, "slow", "replica_2")

    demo.end(number)

    assert len(ports) == 3
    assert re.search(rf"port ({ports[1]}|{ports[2]}), replica", page)
    assert slowed.json()["replicas"] == {"replica_1": "running", "replica_2": "slow"}
    assert demo.process.returncode == 0
    assert demo.output.read_text().endswith("* Nothing is left running\n")
    assert not any(map(listens, [demo.port, *ports]))
    assert list(demo.files.iterdir()) == []


def test_ctrl_c_while_the_cluster_comes_up_leaves_nothing(demo: Demo) -> None:
    until(lambda: any(demo.files.iterdir()), what=demo.output.read_text)

    demo.end(signal.SIGINT)

    assert "Traceback" not in demo.output.read_text()
    # Its watchdog may still be at it.
    until(lambda: not any(demo.files.iterdir()), what=f"{demo.files} is empty")


def test_the_panel_takes_orders_from_its_own_page_alone(visitor: httpx.Client) -> None:
    assert visitor.post("/outages/kill/replica_1").status_code == 403


def test_the_panel_breaks_and_mends_replicas_and_nothing_else(visitor: httpx.Client) -> None:
    unknown, primary = press(visitor, "promote", "replica_1"), press(visitor, "kill", "primary")
    killed, twice = press(visitor, "kill", "replica_1"), press(visitor, "kill", "replica_1")
    seen = visitor.get("/outages").json()
    restarted = press(visitor, "restart", "replica_1")

    assert unknown.status_code == 404
    assert primary.status_code == 409
    assert primary.json()["error"] == "'primary' is no replica: there are replica_1, replica_2"
    assert killed.json() == seen == {"replicas": {"replica_1": "stopped", "replica_2": "running"}}
    assert twice.json()["error"] == "replica_1 is stopped: restart it first"
    assert restarted.json() == {"replicas": {"replica_1": "running", "replica_2": "running"}}


def test_everybody_who_looks_at_the_map_sees_how_the_nodes_are_and_may_change_nothing(visitor: httpx.Client) -> None:
    (cluster,) = visitor.get("/gmf/status.json").raise_for_status().json()["clusters"]

    assert [node["alias"] for node in cluster["nodes"]] == ["default", "replica_1", "replica_2"]
    assert visitor.get("/gmf/status").status_code == 302
    assert visitor.post("/gmf/status.json").status_code in {403, 405}
