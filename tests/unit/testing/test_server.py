"""What is made of a server that does not answer?"""

from __future__ import annotations

from pathlib import Path

import pytest

from django_gmf_router.testing.home import PASSWORD_FILE, Home
from django_gmf_router.testing.machine import Account
from django_gmf_router.testing.server import Server


@pytest.fixture
def server(tmp_path: Path, data: Path) -> Server:
    """A server that runs and that psql cannot reach."""
    (tmp_path / PASSWORD_FILE).touch()
    psql = tmp_path / "psql"
    psql.write_text("#!/bin/sh\necho 'psql: error: no answer' >&2\nexit 2\n")
    psql.chmod(0o755)
    return Server(data.name, 5432, Home(tmp_path, bin_dir=tmp_path, account=Account()))


def test_it_runs_and_has_no_known_role(server: Server) -> None:
    assert (server.status().state, server.status().role) == ("running", None)


def test_it_is_not_whole(server: Server) -> None:
    assert not server.is_whole()
