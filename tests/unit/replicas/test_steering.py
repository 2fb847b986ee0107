"""What does a process take from what nodes tell of the control state?"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator

import pytest
from django.db import router
from django.test import override_settings

from django_gmf_router import clusters, current_decision
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.observer import Answer
from django_gmf_router.replicas.readings import Reading, Steering, newer
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig, Role
from tests.books.models import Book
from tests.conftest import OpenUnit

CONFIG = ClusterConfig(primary="default", replicas=(ReplicaConfig(alias="replica_1"),))


def told(version: int, **shares: float) -> str:
    return f"{version} {json.dumps({'share': {name.strip('_'): share for name, share in shares.items()}})}"


def test_the_highest_version_counts_whichever_node_tells_it() -> None:
    known = newer(Steering(), told(3, _=0.3), "")
    assert known == Steering(version=3, share=0.3)
    assert newer(known, told(2, _=0.2), "") is known
    assert newer(known, None, "") is known
    assert newer(known, told(4), "") == Steering(version=4)


def test_each_site_of_a_database_has_a_share_of_its_own() -> None:
    both = told(1, integration=0.5, prod=0.0)
    assert newer(Steering(), both, "integration").share == 0.5
    assert newer(Steering(), both, "prod").share == 0.0
    assert newer(Steering(), both, "other").share is None


def test_a_drain_is_of_all_sites_and_a_maintenance_of_one() -> None:
    state = json.dumps({"drained": ["replica_2", "replica_1"], "maintenance": {"prod": "new disks", "test": ""}})
    prod, test, other = (newer(Steering(), f"1 {state}", site) for site in ("prod", "test", "other"))
    assert prod.drained == test.drained == other.drained == {"replica_1", "replica_2"}
    assert (prod.maintenance, prod.maintenance_reason) == (True, "new disks")
    assert (test.maintenance, test.maintenance_reason) == (True, "")
    assert (other.maintenance, other.maintenance_reason) == (False, "")


def test_it_is_said_in_one_line() -> None:
    assert str(Steering(version=3)) == "nothing"
    assert str(Steering(maintenance=True)) == "maintenance"
    steering = Steering(share=0.5, drained=frozenset(["b", "a"]), maintenance=True, maintenance_reason="new disks")
    assert str(steering) == "replicas serve 0.5 of the clients; drained: a, b; maintenance: new disks"


UNREADABLE = ["", "{", "[]", '{"share": 3}', '{"share": {"": "half"}}', '{"drained": 3}', '{"maintenance": "on"}']


@pytest.mark.parametrize("state", UNREADABLE)
def test_what_cannot_be_read_steers_nothing(state: str) -> None:
    assert newer(Steering(), f"7 {state}", "") == Steering(version=7)


@pytest.mark.parametrize("text", ["", "x", "-1 {}"])
def test_what_is_no_state_is_not_taken(text: str) -> None:
    known = Steering(version=1, share=0.1)
    assert newer(known, text, "") is known


def answer(control: str) -> Answer:
    reading = Reading(up=True, role=Role.REPLICA, control=control)
    return Answer(alias="replica_1", reading=reading, started_at=0.0, finished_at=0.1)


def test_a_monitor_keeps_what_was_said_while_nobody_answers_and_in_a_child(unmirrored: None) -> None:
    monitor = Monitor(CONFIG)
    monitor.answered(answer(told(5, _=0.0)))
    assert monitor.steering.share == 0.0
    monitor.report_failure("replica_1", "refused")
    monitor.begin_in_child()
    assert monitor.steering.share == 0.0
    monitor.stop()


def test_what_is_new_is_logged_once_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    monitor = Monitor(CONFIG)
    for version in (1, 2):
        monitor.answered(answer(f'{version} {{"drained": ["replica_1"]}}'))
    monitor.answered(answer("3 {}"))
    monitor.stop()
    steered = [record.getMessage() for record in caplog.records if getattr(record, "event", "") == "steered"]
    assert steered == [
        "Operators say of default, with change 1: drained: replica_1.",
        "Operators say of default, with change 3: nothing.",
    ]


@pytest.fixture
def share(unmirrored: None, open_request: OpenUnit) -> Iterator[Callable[[], str]]:
    def reason() -> str:
        with open_request("GET", "/"):
            router.db_for_read(Book)
            decision = current_decision()
        assert decision is not None
        return decision.reason

    # A cluster of this test's own: what its nodes are told to have said is too old for others.
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"]}}):
        yield reason


def test_what_an_operator_says_beats_the_setting_until_it_is_taken_back(share: Callable[[], str]) -> None:
    monitor = clusters.registry().clusters[0].monitor
    assert share() == "read_method"
    monitor.answered(answer(told(1, _=0.0)))
    assert share() == "share"
    monitor.answered(answer(told(2)))
    assert share() == "read_method"


def test_a_process_whose_clients_are_all_out_of_the_share_hears_of_another(
    share: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def begin(_monitor: Monitor) -> None:
        begun.append("once")

    monkeypatch.setattr(Monitor, "ensure", begin)
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "SHARE": 0}}):
        assert share() == "share"
        assert begun != []
        clusters.registry().clusters[0].monitor.answered(answer(told(1, _=1.0)))
        assert share() == "read_method"
