"""Does the demo site stand on its own, and does the demo say in one line what is missing?"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from testproject import postgis

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


@pytest.mark.parametrize(
    ("module", "environ", "message"),
    [
        ("testproject.outages.local", {}, "it is for make demo, which sets GMF_DEMO_CLUSTER"),
        ("testproject.outages.apps", {}, "it is for make demo"),
        (
            "testproject.demo_settings",
            {"DEBUG": "0", "SECRET_KEY": "x", "GMF_DEMO_CLUSTER": "/x"},
            "use testproject.settings",
        ),
    ],
)
def test_what_breaks_replicas_cannot_be_imported_on_a_server(
    module: str, environ: dict[str, str], message: str
) -> None:
    done = run("-c", f"import {module}", **environ)

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert message in done.stderr.splitlines()[-1]


def test_the_demo_s_settings_do_not_stand_without_its_cluster() -> None:
    done = run("manage.py", "check", DJANGO_SETTINGS_MODULE="testproject.demo_settings")

    assert "which sets GMF_DEMO_CLUSTER" in done.stderr.splitlines()[-1]


def test_the_demo_says_what_to_install_for_parcels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(postgis.VARIABLE, raising=False)
    monkeypatch.setattr(postgis, "SYSTEM", tmp_path)

    assert postgis.missing_for_the_map() == (
        f"a PostgreSQL server with PostGIS (GMF_PG_BINDIR or {tmp_path}): "
        "apt-get install --no-install-recommends postgresql-postgis gdal-bin"
    )
