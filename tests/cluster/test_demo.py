"""Does `make demo` serve from the nodes it says, and end without a trace?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from django_gmf_router.testing.machine import free_ports
from tests.waiting import listens, until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.cluster


class Demo:
    """A running demo, in a process group of its own as a terminal gives it."""

    def __init__(self, directory: Path) -> None:
        (self.port,) = free_ports(1)
        self.output = directory / "output"
        # Not below pytest's own: where root runs the tests, the servers' user cannot enter that.
        self.files = Path(tempfile.mkdtemp(prefix="gmf-demo-"))
        self.files.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "DJANGO"))}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "testproject.demo", "--port", str(self.port)],
                cwd=ROOT,
                env={**kept, "TMPDIR": str(self.files)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        until(lambda: listens(self.port) or self.process.poll() is not None, 60, self.output.read_text)
        assert self.process.poll() is None, self.output.read_text()
        self.get("/places/count")

    def get(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}") as response:
            return response.read().decode()

    def node_ports(self) -> list[int]:
        return [int(port) for port in re.findall(r"^  \w+: 127\.0\.0\.1:(\d+)$", self.output.read_text(), re.MULTILINE)]

    def end(self, number: int) -> None:
        os.killpg(self.process.pid, number)
        self.process.wait(timeout=30)


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = Demo(tmp_path_factory.mktemp("demo"))
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)
    shutil.rmtree(running.files)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_serves_and_a_signal_ends_all_that_it_started(demo: Demo, number: int) -> None:
    demo.wait_until_up()
    ports = demo.node_ports()

    page = demo.get("/requests")
    demo.end(number)

    assert len(ports) == 3
    assert re.search(rf"port ({ports[1]}|{ports[2]}), replica", page)
    assert demo.process.returncode == 0
    assert demo.output.read_text().endswith("* Nothing is left running\n")
    assert not any(map(listens, [demo.port, *ports]))
    assert list(demo.files.iterdir()) == []


def test_ctrl_c_while_the_cluster_comes_up_leaves_nothing(demo: Demo) -> None:
    until(lambda: any(demo.files.iterdir()), what=demo.output.read_text)

    demo.end(signal.SIGINT)

    assert "Traceback" not in demo.output.read_text()
    # Its watchdog may still be at it.
    until(lambda: not any(demo.files.iterdir()), what=f"{demo.files} is empty")
