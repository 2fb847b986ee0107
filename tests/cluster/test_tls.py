"""Are servers told by their certificates (`sslmode: verify-full`) also where an alias is one name for several?

A proxy before each node speaks TLS, with a certificate for `localhost` that an authority of the test's own signed.
"""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.plugin import refuse
from tests.chaos.proxy import Proxy
from tests.cluster.sites import DRIVERS, environment, manage

ROUTER = {"REPLICAS": {"replica_1": {"BALANCED": True}}, "HEALTH": {"TIMEOUT": 1.0}}
READ = """
from django.db import connections
wrapper = connections["replica_1"]
wrapper.ensure_connection()
driver = wrapper.connection
print(getattr(driver, "pgconn", driver.info).ssl_in_use, wrapper.node)
"""


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The certificates of two authorities, and what the first one signed: a key and a certificate."""
    if shutil.which("openssl") is None:
        refuse("openssl is not installed: nothing makes a certificate")
    folder = tmp_path_factory.mktemp("tls")
    for name in ("ours", "another"):
        _openssl(
            folder, f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
        )
    _openssl(folder, "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key -out request")
    (folder / "names").write_text("subjectAltName=DNS:localhost")
    _openssl(folder, "x509 -req -in request -CA ours.pem -CAkey ours.key -days 2 -extfile names -out certificate")
    return {name: folder / name for name in ("ours.pem", "another.pem", "key", "certificate")}


def _openssl(folder: Path, command: str) -> None:
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def ports(migrated: LocalCluster, authorities: dict[str, Path]) -> Iterator[dict[str, int]]:
    """The port of each alias, behind which its node speaks TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authorities["certificate"], authorities["key"])
    nodes = {"default": "primary", "replica_1": "replica_1"}
    with ExitStack() as stack:
        yield {
            alias: stack.enter_context(Proxy(migrated.port(node), tls=context)).port for alias, node in nodes.items()
        }


def variables(
    cluster: LocalCluster, driver: str, ports: dict[str, int], root: Path, host: str = "localhost"
) -> dict[str, str]:
    """Return the environment of a process that takes only servers which can prove their name."""
    env = environment(cluster, driver, router=ROUTER, OPTIONS={"sslmode": "verify-full", "sslrootcert": str(root)})
    databases = json.loads(env["GMF_TEST_DATABASES"])
    for alias, port in ports.items():
        databases[alias].update(HOST=host, PORT=str(port))
    return {**env, "GMF_TEST_DATABASES": json.dumps({alias: databases[alias] for alias in ports})}


def nodes(env: dict[str, str]) -> dict[str, Any]:
    done = manage(env, "gmf_status", "--json")
    assert done.stderr == ""
    return {node["alias"]: node for node in json.loads(done.stdout)}


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_address_of_a_name_proves_the_name(
    migrated: LocalCluster, authorities: dict[str, Path], ports: dict[str, int], driver: str
) -> None:
    env = variables(migrated, driver, ports, authorities["ours.pem"])
    node = f"replica_1@127.0.0.1:{ports['replica_1']}"
    found = nodes(env)
    assert (found["default"]["state"], found[node]["state"]) == ("up", "up"), found
    done = manage(env, "shell", "--verbosity=0", "-c", READ)
    assert done.stdout.split() == ["True", node], done.stderr


@pytest.mark.parametrize(
    ("root", "host", "words"),
    [("another.pem", "localhost", "certificate verify failed"), ("ours.pem", "127.0.0.1", "does not match host name")],
)
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_server_that_proves_another_name_or_none_is_down(
    migrated: LocalCluster,
    authorities: dict[str, Path],
    ports: dict[str, int],
    driver: str,
    root: str,
    host: str,
    words: str,
) -> None:
    found = nodes(variables(migrated, driver, ports, authorities[root], host))
    assert {node["state"] for node in found.values()} == {"down"}
    assert [node["error"] for node in found.values() if words not in node["error"]] == []
