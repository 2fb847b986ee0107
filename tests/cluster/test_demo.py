"""Does `make demo` serve from the nodes it says, and end without a trace?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.cluster


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Demo:
    """A running demo, in a process group of its own as a terminal gives it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
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
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            if is_open(self.port):
                self.get("/places/count")
                return
            time.sleep(0.2)
        pytest.fail(f"The demo does not serve:\n{self.output.read_text()}")

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
    assert not any(map(is_open, [demo.port, *ports]))
    assert list(demo.files.iterdir()) == []


def test_ctrl_c_while_the_cluster_comes_up_leaves_nothing(demo: Demo) -> None:
    deadline = time.monotonic() + 30
    while not demo.output.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)

    demo.end(signal.SIGINT)

    assert "Traceback" not in demo.output.read_text()
    deadline = time.monotonic() + 10
    while list(demo.files.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(demo.files.iterdir()) == []
