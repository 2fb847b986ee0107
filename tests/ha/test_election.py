"""What do readers and writers notice of an election? Patroni, etcd and HAProxy, by the files of docs/examples/ha."""

from __future__ import annotations

import pytest

from tests.cluster.sites import manage
from tests.ha.elections import Election
from tests.ha.machines import Machines
from tests.ha.sites import VARIANTS, HaSite, site_environment
from tests.turns import IS_SOAK

KILLS = 5 if IS_SOAK else 1


@pytest.mark.soak
def test_no_get_fails_and_no_write_is_lost_when_the_leader_is_killed(machines: Machines, sites: list[HaSite]) -> None:
    for _ in range(KILLS):
        election = Election(machines, sites, "leader killed")
        with election.load():
            old = election.strike(machines.kill)
            machines.start(old)
            machines.wait_until_whole()
            election.serves(old)
        election.check_reads()
        election.check_writes()
        assert election.refused()
        assert election.lost() == []
        assert machines.role(old) == "replica"


def test_no_get_fails_and_no_write_is_lost_in_a_planned_switchover(machines: Machines, sites: list[HaSite]) -> None:
    election = Election(machines, sites, "switchover")
    with election.load():
        old = election.strike(lambda leader: machines.switch_over(leader, machines.synchronous()))
        machines.wait_until_whole()
        election.serves(old)
    election.check_reads()
    election.check_writes()
    assert election.lost() == []
    assert machines.role(old) == "replica"


def test_no_request_fails_when_the_synchronous_replica_is_killed(machines: Machines, sites: list[HaSite]) -> None:
    election = Election(machines, sites, "synchronous replica killed")
    replica = machines.synchronous()
    with election.load():
        election.happen(lambda: machines.kill(replica))
        machines.synchronous(other_than=replica)
        machines.start(replica)
        machines.wait_until_whole()
        election.serves(replica)
    election.check_reads()
    assert election.refused() == []
    assert election.lost() == []


@pytest.mark.parametrize("settings", VARIANTS)
def test_the_settings_shown_pass_every_check_and_their_cache_works(machines: Machines, settings: str) -> None:
    env = site_environment(machines, settings)
    checked = manage(env, "check", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    cached = "from django.core.cache import caches; c = caches['default']; c.set('a', 1); print(c.get('a'), c)"
    done = manage(env, "shell", "--verbosity=0", "-c", cached)
    assert done.stdout.startswith("1 <django.core.cache.backends.redis."), done.stderr
