"""Is a state in colour on a terminal, and nowhere else?"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ESCAPE = "\x1b["
GREEN, RED = f"{ESCAPE}32;1m", f"{ESCAPE}31;1m"
# One whose file cannot be made.
SITE = """
import sys
from tests.settings import DATABASES
DATABASES["replica_2"]["NAME"] = "/nowhere/at/all"
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


def on_a_terminal(*args: str, **env: str) -> str:
    """Return what a command prints to a terminal of its own, about a site with a replica that is down."""
    plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "DJANGO_COLORS"}}
    ours = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    reader, writer = pty.openpty()
    try:
        command = [sys.executable, "-c", SITE, *args]
        subprocess.run(command, env={**plain, **ours, **env}, cwd=ROOT, stdout=writer, timeout=60, check=False)
        return os.read(reader, 1 << 16).decode().replace("\r\n", "\n")
    finally:
        os.close(writer)
        os.close(reader)


def test_a_node_that_is_down_is_red_and_one_that_is_up_green() -> None:
    _, primary, first, second, error = on_a_terminal("gmf_status").splitlines()
    assert f"{GREEN}up" in primary
    assert f"{GREEN}up" in first
    assert f"{RED}down" in second
    assert error == "replica_2: unable to open database file"


def test_what_is_wrong_is_red_and_what_is_right_green() -> None:
    lines = on_a_terminal("gmf_doctor").splitlines()
    assert [line.partition(" ")[0] for line in lines if "replica_" in line] == [
        f"{GREEN}OK{ESCAPE}0m",
        f"{RED}WRONG{ESCAPE}0m",
    ]


@pytest.mark.parametrize(("args", "env"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"})])
def test_whoever_wants_no_colour_gets_none(args: list[str], env: dict[str, str]) -> None:
    text = on_a_terminal("gmf_status", *args, **env)
    assert "down" in text
    assert ESCAPE not in text
