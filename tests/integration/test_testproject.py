"""Does the demo site stand on its own, and does the demo say in one line what is missing?"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the demo site with its own settings, warnings being errors."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABASE", "DJANGO", "GMF", "COV"))
    }
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env={**kept, **environ},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_the_site_s_own_tests_pass_without_a_database_server() -> None:
    done = run("manage.py", "test")

    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr


@pytest.mark.parametrize("command", [["check", "--fail-level", "WARNING"], ["makemigrations", "--check"]])
def test_the_site_is_configured_without_a_warning_and_has_its_migrations(command: list[str]) -> None:
    done = run("manage.py", *command)

    assert done.returncode == 0, done.stderr + done.stdout


def test_without_debug_the_site_asks_for_its_own_secret_key() -> None:
    done = run("manage.py", "check", DEBUG="0")

    assert "SECRET_KEY" in done.stderr.splitlines()[-1]


def test_the_demo_says_in_one_line_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run("-m", "testproject.demo", "--port", str(port))

    assert done.returncode == 1
    assert done.stderr.startswith(f"Port {port} cannot be used (Address already in use): run make demo PORT=")
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("port", ["0", "65536"])
def test_the_demo_refuses_a_port_that_does_not_exist(port: str) -> None:
    done = run("-m", "testproject.demo", "--port", port)

    assert done.stderr == f"Port {port} does not exist: run make demo PORT=8001.\n"
