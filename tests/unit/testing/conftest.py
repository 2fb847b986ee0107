"""What do the tests of the local cluster share?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from django_gmf_router.testing.home import TOKEN_FILE, ClusterState, Maker
from tests.waiting import until


@pytest.fixture
def state(tmp_path: Path) -> ClusterState:
    """A cluster of this process whose servers are stopped; it is not saved."""
    home = tmp_path / "home"
    home.mkdir()
    (home / TOKEN_FILE).write_text("a token")
    return ClusterState(
        directory=tmp_path,
        home=home,
        bin_dir=tmp_path,
        token="a token",
        database="gmf",
        user="gmf",
        made_directory=True,
        maker=Maker.myself(),
        detached=False,
        starting=True,
        ports={"primary": 5432, "replica_1": 5433},
    )


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """The data directory of a process that stands for its server."""
    data = tmp_path / "nodes" / "replica_1"
    data.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", data], stdin=subprocess.PIPE
    ) as process:
        # For a moment after exec() the kernel shows no command line.
        until(lambda: str(data) in psutil.Process(process.pid).cmdline())
        (data / "postmaster.pid").write_text(f"{process.pid}\n{data}\n")
        yield data
        process.communicate(b"")
