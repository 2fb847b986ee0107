"""Does `make demo` serve from the nodes it says, and end without a trace?"""

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
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    running.clear()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_serves_and_a_signal_ends_all_that_it_started(demo: Demo, number: int) -> None:
    demo.wait_until_up()
    ports = demo.node_ports()

    page = demo.get("/requests")
    demo.end(number)

    assert len(ports) == 3
    assert re.search(rf"port ({ports[1]}|{ports[2]}), replica", page)
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


def test_the_panel_takes_orders_from_its_own_page_alone(demo: Demo) -> None:
    demo.wait_until_up()
    with httpx.Client(base_url=demo.url) as client:
        foreign = client.post("/outages/kill/replica_1")
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/").text)[0]
        headers = {"X-CSRFToken": token}
        unknown = client.post("/outages/promote/replica_1", headers=headers)
        primary = client.post("/outages/kill/primary", headers=headers)
        killed = client.post("/outages/kill/replica_1", headers=headers)
        twice = client.post("/outages/kill/replica_1", headers=headers)

        assert foreign.status_code == 403
        assert unknown.status_code == 404
        assert (primary.status_code, primary.json()["error"]) == (
            409,
            "'primary' is no replica: there are replica_1, replica_2",
        )
        assert killed.json() == {"replicas": {"replica_1": "stopped", "replica_2": "running"}}
        assert twice.json()["error"] == "replica_1 is stopped: restart it first"
        assert client.get("/outages").json() == killed.json()


def test_everybody_who_looks_at_the_map_sees_how_the_nodes_are_and_may_change_nothing(demo: Demo) -> None:
    demo.wait_until_up()
    with httpx.Client(base_url=demo.url) as client:
        (cluster,) = client.get("/gmf/status.json").raise_for_status().json()["clusters"]

        assert [node["alias"] for node in cluster["nodes"]] == ["default", "replica_1", "replica_2"]
        assert client.get("/gmf/status").status_code == 302
        assert client.post("/gmf/status.json").status_code in {403, 405}


def test_a_slow_replica_ends_with_the_demo(demo: Demo) -> None:
    demo.wait_until_up()
    with httpx.Client(base_url=demo.url) as client:
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/").text)[0]
        slowed = client.post("/outages/slow/replica_2", headers={"X-CSRFToken": token})

    demo.end(signal.SIGTERM)

    assert slowed.json()["replicas"]["replica_2"] == "slow"
    assert demo.output.read_text().endswith("* Nothing is left running\n")
    assert list(demo.files.iterdir()) == []
