"""Is a hung read freed over TLS, over Unix sockets and in a connection pool as it is over TCP?"""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from tests.chaos.proxy import Proxy
from tests.chaos.runs import replica_frozen, replica_killed
from tests.chaos.sites import HANG_SECONDS, chaos_site
from tests.chaos.test_moves import at_gates
from tests.cluster.sites import DRIVERS, SERVERS
from tests.turns import IS_SOAK

REPLICAS = ("replica_1", "replica_2")
# Django's pools need psycopg 3.
POOL = {"pool": {"min_size": 1, "max_size": 8}}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """What a server needs to speak TLS: a key, and a certificate that it signed itself."""
    if shutil.which("openssl") is None:
        refuse("openssl is not installed: nothing makes a certificate")
    key, certificate = (tmp_path_factory.mktemp("tls") / name for name in ("key", "certificate"))
    subject = ["-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.fixture(scope="module")
def proxies(
    request: pytest.FixtureRequest, library: LocalCluster, tls: ssl.SSLContext
) -> Iterator[tuple[dict[str, Proxy], dict[str, Any]]]:
    """A wire to each replica, and the settings of an alias that uses it."""
    with TemporaryDirectory() as directory, ExitStack() as stack:
        kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
            "tls": ({"tls": tls}, {"OPTIONS": {"sslmode": "require"}}),
            "unix": ({"directory": Path(directory)}, {"HOST": directory}),
        }
        options, settings = kinds[request.param]
        wires = {alias: stack.enter_context(Proxy(library.port(alias), **options)) for alias in REPLICAS}
        yield wires, settings


@pytest.mark.parametrize("proxies", ["tls", "unix"], indirect=True)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_read_that_hangs_is_freed_and_moves(
    library: LocalCluster, cluster: LocalCluster, proxies: tuple[dict[str, Proxy], dict[str, Any]], driver: str
) -> None:
    wires, settings = proxies
    aliases = {alias: {**settings, "PORT": wires[alias].port} for alias in REPLICAS}
    with chaos_site("gunicorn", driver, library, aliases=aliases) as site:
        site.wait_until_whole()
        with at_gates(site, ["/dies/refresh"]) as (request,):
            hung = wires[request.told["alias"]]
            hung.black_hole()
            began = time.monotonic()
            answer = request.finish()
            seconds = time.monotonic() - began
            hung.pass_on()
    assert answer.body.get("found"), answer
    assert answer.body["port"] != request.told["port"]
    # Fast would mean that it never hung.
    assert 0.5 < seconds <= HANG_SECONDS


@pytest.mark.parametrize("server", SERVERS if IS_SOAK else ["uvicorn"])
def test_a_pool_outlives_a_replica_that_is_killed_and_one_that_hangs(
    library: LocalCluster, cluster: LocalCluster, server: str
) -> None:
    with chaos_site(server, "psycopg", library, CONN_MAX_AGE=0, OPTIONS=POOL) as site:
        site.wait_until_whole()
        replica_killed(site, cluster, "with a pool: replica killed")
        site.wait_until_whole()
        replica_frozen(site, cluster, "with a pool: replica frozen", "replica_2")
