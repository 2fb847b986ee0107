"""Does a site outlive passwords that end after minutes, as tokens of cloud providers do?

`docs/how-to/providers/short-lived-passwords.md` shows two ways. The class there is taken from the page.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, Site, environment, served
from tests.unit.docs.running import example
from tests.waiting import until

PAGE = "docs/how-to/providers/short-lived-passwords.md"
ROLE = "short_lived"
ROUTER = {"HEALTH": {"INTERVAL": 0.5}}
SESSIONS = f"FROM pg_stat_activity WHERE usename = '{ROLE}'"
TOKENS = """
from pathlib import Path

def token(host, port, user):
    assert (host, user) == ("127.0.0.1", "short_lived"), (host, port, user)
    return Path({file!r}).read_text()
"""
# As Amazon's: with what a password file has to escape, and longer than old ones could hold.
TOKEN = "127.0.0.1:5432/?Action=connect\\&X-Amz-Security-Token={}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passwords:
    """The one password that the servers take, and where the site finds it."""

    cluster: LocalCluster
    token: Path
    passfile: Path

    def renew(self) -> None:
        """Let all servers take a new password, and no older one."""
        password = TOKEN.format(secrets.token_hex(400))
        escaped = re.sub(r"([\\:])", r"\\\1", password)
        _replace(self.token, password)
        _replace(self.passfile, f"127.0.0.1:*:*:{ROLE}:{escaped}\n")
        self.cluster.execute("primary", f"ALTER ROLE {ROLE} PASSWORD '{password}'")
        self.cluster.wait_for_replay()

    def end_sessions(self) -> None:
        """Terminate all sessions of the site and of its health monitor."""
        for node in self.cluster.nodes:
            self.cluster.execute(node, f"SELECT pg_terminate_backend(pid) {SESSIONS}")

    def watched(self) -> list[str]:
        """Return which nodes the health monitor is connected to."""
        count = f"SELECT count(*) {SESSIONS} AND application_name = 'gmf_monitor'"
        return [node for node in self.cluster.nodes if self.cluster.execute(node, count) != [("0",)]]


def _replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(file)


@pytest.fixture
def passwords(migrated: LocalCluster, gmf_cluster: LocalCluster, tmp_path: Path) -> Iterator[Passwords]:
    found = Passwords(cluster=gmf_cluster, token=tmp_path / "token", passfile=tmp_path / "pgpass")
    gmf_cluster.execute("primary", f"CREATE ROLE {ROLE} LOGIN IN ROLE gmf")
    found.renew()
    yield found
    gmf_cluster.heal()
    found.end_sessions()
    gmf_cluster.execute("primary", f"DROP ROLE {ROLE}")


@pytest.fixture(params=["class", "passfile"])
def keeps(request: pytest.FixtureRequest, passwords: Passwords, tmp_path: Path) -> dict[str, Any]:
    """What the settings of each alias say of the password."""
    if request.param == "passfile":
        return {"OPTIONS": {"passfile": str(passwords.passfile)}}
    engine = tmp_path / "mysite" / "engine"
    engine.mkdir(parents=True)
    (engine / "__init__.py").touch()
    (engine / "base.py").write_text(example(PAGE, "class DatabaseWrapper").text)
    (engine.parent / "tokens.py").write_text(TOKENS.format(file=str(passwords.token)))
    return {"ENGINE": "mysite.engine"}


@pytest.fixture(params=DRIVERS)
def site(request: pytest.FixtureRequest, passwords: Passwords, keeps: dict[str, Any], tmp_path: Path) -> Iterator[Site]:
    settings = {"USER": ROLE, "PASSWORD": "", **keeps}
    env = environment(passwords.cluster, request.param, router=ROUTER, **settings)
    with served("gunicorn", {**env, "PYTHONPATH": f"{env['PYTHONPATH']}{os.pathsep}{tmp_path}"}, workers=1) as running:
        yield running


def ask(site: Site, path: str) -> Any:
    with urlopen(f"{site.url}/{path}") as response:
        return json.load(response)


def check_reads(site: Site, passwords: Passwords) -> None:
    """Assert that all nodes are watched, pages read from replicas, and a read moves to the replica that is left."""
    cluster = passwords.cluster
    until(lambda: passwords.watched() == cluster.nodes, what=lambda: f"watched: {passwords.watched()}")
    assert {look["role"] for look in ask(site, "where")["looks"]} == {"replica"}
    cluster.kill("replica_1")
    assert ask(site, "read-from/replica_1")["port"] == cluster.port("replica_2")
    cluster.restart("replica_1")
    until(lambda: passwords.watched() == cluster.nodes, what=lambda: f"watched: {passwords.watched()}")


def test_a_site_outlives_its_password(site: Site, passwords: Passwords) -> None:
    assert ask(site, "where")["looks"]
    check_reads(site, passwords)
    passwords.renew()
    passwords.end_sessions()
    check_reads(site, passwords)
    assert "authentication failed" not in site.log.read_text()
