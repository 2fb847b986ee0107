"""Does a node tell one who asks many the same as one who waits for it, on either driver?"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import Ask, script
from tests.cluster.sites import environment
from tests.waiting import until

SCRIPT = """
import json, sys, django
django.setup()
from django_gmf_router.replicas.probes import Probe
probe = Probe("replica_1")
for line in sys.stdin:
    reading = None
    if line == "read\\n":
        reading = probe.read()
    elif probe.send():
        while (reading := probe.receive()) is None:
            pass
    told = reading and [reading.up, reading.role, reading.position, reading.timeline, reading.started, reading.database,
                        reading.system_identifier, reading.dialect and reading.dialect.refused]
    print(json.dumps(told), flush=True)
"""
POSITION = "pg_last_wal_replay_lsn"
ENDED = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'gmf_monitor'"


@pytest.fixture
def ask(gmf_cluster: LocalCluster) -> Iterator[Ask]:
    """Ask a probe of psycopg 3."""
    with script(SCRIPT, environment(gmf_cluster, "psycopg")) as ask:
        yield ask


def test_what_was_sent_for_is_what_is_read(ask: Ask, gmf_cluster: LocalCluster) -> None:
    assert json.loads(ask("send")) is None  # nothing is connected yet
    read = json.loads(ask("read"))
    assert read[:2] == [True, "replica"]
    gmf_cluster.execute("primary", "SELECT pg_logical_emit_message(false, 'probe', 'moves the position')")
    gmf_cluster.wait_for_replay()
    sent = json.loads(ask("send"))
    assert sent[2] > read[2]
    assert [*sent[:2], *sent[3:]] == [*read[:2], *read[3:]]


def test_psycopg2_has_to_wait(gmf_cluster: LocalCluster) -> None:
    with script(SCRIPT, environment(gmf_cluster, "psycopg2")) as ask:
        assert json.loads(ask("read"))[:2] == [True, "replica"]
        assert json.loads(ask("send")) is None
        assert json.loads(ask("read"))[:2] == [True, "replica"]


def test_after_the_session_was_ended_it_is_read_anew(ask: Ask, gmf_cluster: LocalCluster) -> None:
    up, role, _, *others = json.loads(ask("read"))
    assert gmf_cluster.execute("replica_1", ENDED) == [("t",)]
    # Whether it is seen when it is sent or when it is received is the system's.
    assert json.loads(ask("send")) in (None, [False, *[None] * 7])
    # The server may write to its log by itself meanwhile: a position is another's.
    again_up, again_role, _, *again = json.loads(ask("read"))
    assert (again_up, again_role, again) == (up, role, others)


def test_what_is_refused_meanwhile_is_found_out_by_reading(ask: Ask, gmf_cluster: LocalCluster) -> None:
    assert json.loads(ask("read"))[-1] == []
    gmf_cluster.execute("primary", f"REVOKE EXECUTE ON FUNCTION {POSITION} FROM PUBLIC")
    try:
        gmf_cluster.wait_for_replay()
        assert json.loads(ask("send"))[0] is False
        assert json.loads(ask("read"))[-1] == [POSITION]
        assert json.loads(ask("send"))[-1] == [POSITION]
    finally:
        gmf_cluster.execute("primary", f"GRANT EXECUTE ON FUNCTION {POSITION} TO PUBLIC")


def test_after_an_election_it_connects_anew_since_the_name_may_lead_elsewhere() -> None:
    with LocalCluster(2) as cluster, script(SCRIPT, environment(cluster, "psycopg")) as ask:
        assert json.loads(ask("read"))[1] == "replica"
        cluster.promote("replica_1")
        assert json.loads(ask("send"))[1] == "primary"
        assert json.loads(ask("send")) is None
        assert json.loads(ask("read"))[1] == "primary"
        assert json.loads(ask("send"))[1] == "primary"


def test_one_thread_asks_all_nodes_once_theirs_have_connected(gmf_cluster: LocalCluster) -> None:
    watched = """
import json, sys, threading, django
django.setup()
from django_gmf_router import clusters
from django_gmf_router.replicas.outbox import ProbeThread
asked, measure = [], ProbeThread._measure
ProbeThread._measure = lambda thread: (asked.append(thread.alias), measure(thread))[1]
monitor = clusters.registry().clusters[0].monitor
monitor.ensure()
for line in sys.stdin:
    is_settled = monitor.wait(int(line), 30)
    states = sorted({health.state for health in monitor.snapshot.values()})
    print(json.dumps([is_settled, sorted(asked), states]), flush=True)
"""
    nodes = ["default", "replica_1", "replica_2"]
    with script(watched, environment(gmf_cluster, "psycopg", router={"HEALTH": {"INTERVAL": 0.1}})) as look:
        assert json.loads(look("5")) == [True, nodes, ["up"]]
        assert gmf_cluster.execute("replica_1", ENDED) == [("t",)]
        # The thread of that node alone connects again.
        until(lambda: json.loads(look("1"))[1] == sorted([*nodes, "replica_1"]))
        assert json.loads(look("1"))[2] == ["up"]
