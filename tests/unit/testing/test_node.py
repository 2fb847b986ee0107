"""Does a server that does not do as it is told end all the same?"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_gmf_router.testing import node as module
from django_gmf_router.testing.accounts import Account
from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.node import Node
from django_gmf_router.testing.processes import adopt
from django_gmf_router.testing.programs import Programs

STUBBORN = """
import signal, sys
for name in ("SIGINT", "SIGQUIT"):
    signal.signal(getattr(signal, name), signal.SIG_IGN if name in sys.argv else signal.SIG_DFL)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def node(tmp_path: Path) -> Node:
    programs = Programs(bin_dir=tmp_path, home=tmp_path, account=Account())
    return Node(name="primary", port=5432, programs=programs)


@pytest.fixture
def stubborn(node: Node, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the place of the server, which ignores the signals it is given."""
    command = [sys.executable, "-c", STUBBORN, *request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        node.process = adopt(process)
        yield process
        process.kill()


def test_stopping_a_stopped_server_is_harmless(node: Node) -> None:
    node.stop()
    assert node.state() == "stopped"


@pytest.mark.parametrize("stubborn", [[]], indirect=True)
def test_a_server_that_does_not_get_ready_is_told_with_its_log(node: Node, stubborn: subprocess.Popen[bytes]) -> None:
    with pytest.raises(LocalClusterError, match=f"primary took no queries within 0 s: see {node.log}"):
        node.wait_until_ready(0)


@pytest.mark.parametrize(
    ("stubborn", "ended_by"),
    [([], signal.SIGINT), (["SIGINT"], signal.SIGQUIT), (["SIGINT", "SIGQUIT"], signal.SIGKILL)],
    indirect=["stubborn"],
)
def test_a_server_that_is_asked_in_vain_is_ended_more_and_more_roughly(
    node: Node, stubborn: subprocess.Popen[bytes], ended_by: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long where the signal is heeded, so that a slow machine changes nothing.
    monkeypatch.setattr(module, "GRACE_SECONDS", 0.1 if ended_by == signal.SIGKILL else 30)
    node.stop(timeout_seconds=30 if ended_by == signal.SIGINT else 0.1)
    assert stubborn.returncode == -ended_by
    assert node.state() == "stopped"
