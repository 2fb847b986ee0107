"""Does what its sender wrote reach a job, by whichever way it is sent, run again, or sent on?

The replicas replay nothing in most of these: what a job finds all the same it read from the primary.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.jobs.processes import VISIBLE_AFTER_SECONDS, Send, Worker, beat, kill, worker
from tests.waiting import until

REPLICAS = {"replica_1", "replica_2"}
SHORT_SECONDS = 0.3

Told = dict[str, Any]


@pytest.fixture(scope="module")
def running(env: dict[str, str], send: Send, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of two processes that have served before."""
    with worker(env, tmp_path_factory.mktemp("worker"), concurrency=2) as started:
        assert len(send("warm_up", 2, "warm up of both")) == 2, started.text()
        yield started


pytestmark = pytest.mark.usefixtures("running")


def read(told: Told) -> tuple[bool, str, str]:
    return told["found"], told["alias"], told["reason"]


def position_of(header: str) -> str:
    """Return the position that the text of a token holds; empty where it is the time alone."""
    return header.partition(":")[0].rpartition("!")[2]


FROM_THE_PRIMARY = (True, "default", "consistency")


# What a sender wrote


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_was_written_in_a_request_before_its_commit_the_job_finds(
    paused: LocalCluster, send: Send, name: str, method: str
) -> None:
    assert read(send("on_commit", "session", name, method)) == FROM_THE_PRIMARY


def test_delay_on_commit_sends_the_token_of_the_commit(cluster: LocalCluster, send: Send, name: str) -> None:
    found = [send("on_commit_by_celery", "session", f"{name} {number}") for number in range(4)]
    assert all(told["found"] for told in found)
    assert {told["header"][:2] for told in found} == {"1!"}
    assert any(told["alias"] in REPLICAS for told in found)


def test_who_wrote_nothing_sends_no_token_and_any_replica_serves(paused: LocalCluster, send: Send, name: str) -> None:
    told = send("without_a_write", "session", name)
    assert (told["header"], told["reason"]) == (None, "unit_of_work")
    assert told["alias"] in REPLICAS


def test_a_script_sends_the_token_of_all_that_is_committed(paused: LocalCluster, send: Send, name: str) -> None:
    assert read(send("outside", "session", name)) == FROM_THE_PRIMARY


def test_a_unit_of_work_inside_a_request_sends_what_that_wrote_too(paused: LocalCluster, send: Send, name: str) -> None:
    assert read(send("in_a_unit_inside", "session", name)) == FROM_THE_PRIMARY


@pytest.mark.parametrize("how", ["in_a_transaction", "before_the_write", "without_autocommit"])
def test_what_is_sent_inside_a_transaction_reads_from_the_primary(
    paused: LocalCluster, send: Send, name: str, how: str
) -> None:
    told = send(how, "session", name)
    assert read(told) == FROM_THE_PRIMARY
    assert told["header"] == "unknown"


@pytest.mark.parametrize("version", [1, 2])
def test_both_protocols_carry_the_token(paused: LocalCluster, send: Send, name: str, version: int) -> None:
    told = send("by_protocol", version, "session", name)
    assert read(told) == FROM_THE_PRIMARY
    assert told["header"].startswith("1!")


def test_a_script_knows_the_position_again_after_the_primary_was_restarted(
    cluster: LocalCluster, send: Send, name: str
) -> None:
    assert position_of(send("outside", "session", name)["header"])
    cluster.restart("primary")
    # The first finds out that its connection is broken: only the time is known.
    try:
        first, second = (send("header_without_a_request", name) for _ in range(2))
        assert first
        assert not position_of(first)
        assert position_of(second)
    finally:
        # The worker has to see it as well, before another test asks how it is served.
        assert len(send("warm_up", 2, f"{name} warm")) == 2


# What a task says


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("strong", (True, "default", "use_primary")),
        ("by_class", (True, "default", "use_primary")),
        ("by_default", FROM_THE_PRIMARY),
        ("misspelt", (True, "default", "use_primary")),
    ],
)
def test_each_kind_of_task_has_its_level(
    paused: LocalCluster, send: Send, name: str, task: str, expected: tuple[bool, str, str]
) -> None:
    assert read(send("on_commit", task, name)) == expected


def test_a_shared_task_has_its_level(paused: LocalCluster, send: Send, name: str) -> None:
    told = send("on_commit", "shared", name)
    assert (told["found"], told["reason"]) == (False, "unit_of_work")


def test_a_level_that_is_none_is_logged(paused: LocalCluster, send: Send, running: Worker, name: str) -> None:
    send("on_commit", "misspelt", name)
    assert "tests.jobs.tasks.misspelt reads from the primary: gmf_consistency='sesion': choose one of" in running.text()


def test_a_delayed_job_waits_a_second_for_a_replica_and_no_longer(paused: LocalCluster, send: Send, name: str) -> None:
    began = time.monotonic()
    assert read(send("on_commit", "delayed", name)) == FROM_THE_PRIMARY
    assert 1.0 <= time.monotonic() - began < 5.0


def test_a_soft_time_limit_ends_a_job_that_waits_for_a_replica(paused: LocalCluster, send: Send, name: str) -> None:
    with pytest.raises(AssertionError, match="SoftTimeLimitExceeded"):
        send("on_commit", "limited", name)
    assert [told for told in send("many", "session", 4, name) if not told["is_clean"] or told["left"]] == []


# What jobs send


@pytest.mark.parametrize("middle", ["pass_on", "session_pass_on", "eventual_pass_on"])
def test_a_chain_hands_on_what_its_sender_wrote(paused: LocalCluster, send: Send, name: str, middle: str) -> None:
    assert read(send("chained", name, middle, "session")) == FROM_THE_PRIMARY


def test_what_the_first_of_a_chain_wrote_the_second_reads(paused: LocalCluster, send: Send, name: str) -> None:
    assert read(send("chain_writes", name, "session")) == FROM_THE_PRIMARY


def test_each_of_a_group_reads_what_their_sender_wrote(paused: LocalCluster, send: Send, name: str) -> None:
    assert [read(told) for told in send("grouped", "session", name, 4)] == [FROM_THE_PRIMARY] * 4


def test_the_body_of_a_chord_reads_what_each_part_wrote(
    paused: LocalCluster, send: Send, name: str, tmp_path: Path
) -> None:
    turn, ids = tmp_path / "turn", [f"{part} {name}" for part in ("writes", "ends", "body")]
    send("chorded", name, str(turn), ids)
    send("result_of", ids[0])
    # The part that sends the body began before the other wrote, and writes nothing.
    Path(f"{turn}.ended").touch()
    assert read(send("result_of", ids[2])) == FROM_THE_PRIMARY


def test_a_retry_reads_what_its_sender_and_it_itself_wrote(paused: LocalCluster, send: Send, name: str) -> None:
    own = f"{name} own"[:50]
    assert [read(told) for told in send("on_commit", "again", name, args=[name, own])] == [FROM_THE_PRIMARY] * 2


def test_a_job_that_is_retried_for_its_error_keeps_its_token(paused: LocalCluster, send: Send, name: str) -> None:
    told = send("on_commit", "again_by_itself", name)
    assert read(told) == FROM_THE_PRIMARY
    assert told["header"].startswith("1!")


def test_what_beat_sends_reads_all_that_was_committed(
    cluster: LocalCluster, env: dict[str, str], send: Send, running: Worker, name: str, tmp_path: Path
) -> None:
    schedule = {"beat_schedule": {"look": {"task": "tests.jobs.tasks.look_for_last", "schedule": 0.2}}}
    for replica in cluster.nodes[1:]:
        cluster.pause(replica)
    send("on_commit", "strong", name)
    ended = re.compile(r"look_for_last\[\S+\] succeeded in (.*)")
    # The job before it may not have told its end yet.
    with beat({**env, "GMF_TEST_CELERY": json.dumps(schedule)}, tmp_path):
        until(lambda: ended.search(running.text()))
    assert "'found': True, 'alias': 'default', 'reason': 'consistency'" in ended.findall(running.text())[0]


# Late, and again


def test_a_job_whose_worker_was_killed_has_its_level_and_token_again(
    paused: LocalCluster, env: dict[str, str], send: Send, name: str, tmp_path: Path
) -> None:
    mark = tmp_path / "began"
    send("on_commit_to", "killed", "killed_once", name, str(mark))
    with worker(env, tmp_path, queue="killed") as first:
        until(lambda: mark.exists() and mark.read_text())
        kill(first.process)
    time.sleep(VISIBLE_AFTER_SECONDS)  # before that nobody is given the message
    with worker(env, tmp_path, queue="killed") as second:
        told = send("result_of", name)
    assert read(told) == FROM_THE_PRIMARY, second.text()
    assert told["header"].startswith("1!")
    assert told["pid"] != int(mark.read_text())


def test_a_job_that_waits_longer_than_its_token_counts_reads_from_the_primary(
    cluster: LocalCluster, env: dict[str, str], send: Send, name: str, tmp_path: Path
) -> None:
    short = {**json.loads(env["GMF_TEST_ROUTER"]), "CONSISTENCY": {"MAX_AGE": SHORT_SECONDS}}
    with worker({**env, "GMF_TEST_ROUTER": json.dumps(short)}, tmp_path, queue="short"):
        told = send("on_commit", "session", name, queue="short", countdown=2 * SHORT_SECONDS)
    assert read(told) == FROM_THE_PRIMARY
