"""Which of the engines of docs/how-to/high-availability.md does this machine lack, and where are the others?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from django_gmf_router.testing.machine import LocalClusterError, find_programs, server_account

PACKAGES = {"etcd": "etcd-server", "haproxy": "haproxy", "redis-server": "redis-server"}
"""Programs, and the packages of Debian and Ubuntu that hold them."""
PATRONI = "patroni[etcd3,psycopg2-binary]>=4.0,<5"
CACHE_VARIABLE = "GMF_PATRONI_CACHE"
SYSTEM_PYTHON = "/usr/bin/python3"
# Where Debian keeps what only administrators use.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def program(name: str) -> str | None:
    """Return where a program is, None where it is not."""
    return shutil.which(name, path=SEARCH_PATH)


def missing() -> str | None:
    """Return in a line what these tests lack here and how to get it, None where there is nothing."""
    lacking = [name for name in PACKAGES if program(name) is None]
    if lacking:
        packages = " ".join(PACKAGES[name] for name in lacking)
        return f"{', '.join(lacking)}: apt-get install --no-install-recommends {packages}"
    if not Path("/proc/self").exists():
        return "/proc, by which they find their processes: Linux"
    if find_spec("redis") is None:
        return "the Python package redis: pip install redis"
    try:
        find_programs()
    except LocalClusterError as error:
        return str(error)
    if not _has_venv(_python()):
        return f"the module venv of {_python()}: apt-get install python3-venv"
    return None


@lru_cache
def patroni() -> list[str]:
    """Return the command that runs Patroni: of a virtual environment that the servers' user may enter, made once."""
    python = _environment_folder() / "bin" / "python"
    if not python.exists():
        _make(python.parents[1])
    return [str(python), "-m", "patroni"]


def _python() -> str:
    # Root's own may be below /root, where nobody else may go.
    return SYSTEM_PYTHON if server_account().is_other else sys.executable


@lru_cache
def _has_venv(python: str) -> bool:
    command = [python, "-c", "import ensurepip, venv"]
    return Path(python).exists() and subprocess.run(command, check=False, capture_output=True).returncode == 0


def _environment_folder() -> Path:
    folder = os.environ.get(CACHE_VARIABLE) or str(Path(tempfile.gettempdir()) / f"gmf-patroni-{os.geteuid()}")
    path = Path(folder)
    if path.exists() and path.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{path} belongs to somebody else: remove it, or name another by {CACHE_VARIABLE}.")
    return path


def _make(folder: Path) -> None:
    print(f"* Installing Patroni into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Whoever runs Patroni must be able to read it, whatever the umask is.
    subprocess.run([_python(), "-m", "venv", str(folder)], check=True, umask=0o022)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*pip, PATRONI], check=True, umask=0o022)
    except BaseException:
        # A half-made one would look whole the next time.
        shutil.rmtree(folder, ignore_errors=True)
        raise


if __name__ == "__main__" and (lacking := missing()):
    print(f"* tests/ha is left out: it needs {lacking}")
