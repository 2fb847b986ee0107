"""How do the tests run `make demo`?"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

from django_gmf_router.testing.machine import free_ports
from tests.waiting import listens, until

ROOT = Path(__file__).resolve().parents[1]


class Demo:
    """A running demo, in a process group of its own as a terminal gives it.

    parcels: how many, 0 to do without PostGIS.
    """

    def __init__(self, directory: Path, *, parcels: int = 700) -> None:
        (self.port,) = free_ports(1)
        self.output = directory / "output"
        # Not below pytest's own: where root runs the tests, the servers' user cannot enter that.
        self.files = Path(tempfile.mkdtemp(prefix="gmf-demo-"))
        self.files.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "DJANGO"))}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "testproject.demo", "--port", str(self.port), "--parcels", str(parcels)],
                cwd=ROOT,
                env={**kept, "TMPDIR": str(self.files)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until_up(self) -> None:
        until(lambda: listens(self.port) or self.process.poll() is not None, 60, self.output.read_text)
        assert self.process.poll() is None, self.output.read_text()
        self.get("/places/count")

    def get(self, path: str) -> str:
        with urlopen(f"{self.url}{path}") as response:
            return response.read().decode()

    def node_ports(self) -> list[int]:
        return [int(port) for port in re.findall(r"^  \w+: 127\.0\.0\.1:(\d+)$", self.output.read_text(), re.MULTILINE)]

    def end(self, number: int) -> None:
        os.killpg(self.process.pid, number)
        self.process.wait(timeout=30)

    def clear(self) -> None:
        """End it, if it still runs, and remove its files."""
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        shutil.rmtree(self.files)
