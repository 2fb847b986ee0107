"""What if a server dies whose PgBouncer lives? It keeps clients waiting, two minutes by default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import free_ports, server_account
from django_gmf_router.testing.plugin import refuse
from tests.chaos.load import Load
from tests.chaos.runs import Run, listed
from tests.chaos.sites import HANG_SECONDS, INTERVAL, ChaosSite, chaos_site
from tests.cluster import programs
from tests.cluster.sites import DRIVERS

INI = """
[databases]
{databases}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = md5
auth_file = {userlist}
pool_mode = transaction
ignore_startup_parameters = options, extra_float_digits
"""


@pytest.fixture(scope="module")
def pooler(library: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer in front of all nodes, which it offers as databases by their aliases."""
    if lacking := programs.missing("pgbouncer"):
        refuse(lacking)
    account, (port,) = server_account(), free_ports(1)
    userlist, ini = (library.directory / name for name in ("userlist.txt", "pgbouncer.ini"))
    entries = library.databases()
    lines = (
        f"{alias} = host=127.0.0.1 port={entry['PORT']} dbname={entry['NAME']}" for alias, entry in entries.items()
    )
    account.write_private(userlist, f'"{entries["default"]["USER"]}" "{entries["default"]["PASSWORD"]}"\n')
    account.write_private(ini, INI.format(databases="\n".join(lines), port=port, userlist=userlist))
    log = Path(tmp_path_factory.mktemp("pgbouncer")) / "log"
    with programs.running([str(programs.find("pgbouncer")), str(ini)], port, log, account):
        yield port


@pytest.fixture(params=DRIVERS)
def site(
    request: pytest.FixtureRequest, library: LocalCluster, cluster: LocalCluster, pooler: int
) -> Iterator[ChaosSite]:
    """The site, whose aliases lead through the pooler, by transaction."""
    aliases = {alias: {"PORT": pooler, "NAME": alias, "HOST": "127.0.0.1"} for alias in library.databases()}
    with chaos_site("gunicorn", request.param, library, aliases=aliases, DISABLE_SERVER_SIDE_CURSORS=True) as running:
        running.wait_until_whole()
        yield running


@pytest.mark.parametrize("nodes", [["primary"], ["replica_1"]], ids=",".join)
def test_what_waits_in_a_pooler_for_a_dead_server_is_freed(
    site: ChaosSite, cluster: LocalCluster, nodes: list[str]
) -> None:
    fault = f"{', '.join(nodes)} killed behind PgBouncer"
    with Run(site, fault) as run, Load(site.url, ["/change"], clients=3, method="POST", pause_seconds=0) as writers:
        run.strike(lambda: [cluster.kill(node) for node in nodes])
        run.go_on(3 * HANG_SECONDS)
    run.check(HANG_SECONDS)
    slow = [answer for answer in writers.answers if answer.seconds > HANG_SECONDS]
    assert not slow, listed(slow)
    assert {answer.status for answer in writers.answers} <= {200, 503}


def test_writes_go_on_when_the_server_behind_the_pooler_is_back(site: ChaosSite, cluster: LocalCluster) -> None:
    cluster.kill("primary")
    site.wait_until_known_to_be_down("default")
    cluster.restart("primary")
    # PgBouncer tries a server that failed again after 15 seconds (server_login_retry).
    with Load(site.url, ["/change"], clients=1, method="POST", pause_seconds=INTERVAL) as writers:
        writers.wait_for(20)
    assert writers.answers[-1].status == 200, listed(writers.answers)
