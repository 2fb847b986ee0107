"""How do the tests run tipg and pygeoapi? In a virtual environment of their own, made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from tests.cluster import programs
from tests.waiting import listens, until

CACHE_VARIABLE = "GMF_MAP_SERVERS_CACHE"
PACKAGES = ("tipg~=1.6", "pygeoapi>=0.20", "geoalchemy2", "psycopg2-binary", "uvicorn")
START_SECONDS = 60
STOP_SECONDS = 10


def program(name: str) -> str:
    """Return where a program of the environment is."""
    return str(environment() / "bin" / name)


@lru_cache
def environment() -> Path:
    """Return where the environment is; make it where it is not."""
    folder = Path(os.environ.get(CACHE_VARIABLE) or Path(tempfile.gettempdir()) / f"gmf-map-servers-{os.geteuid()}")
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{folder} belongs to somebody else: remove it, or name another by {CACHE_VARIABLE}.")
    if not (folder / "bin" / "python").exists():
        _make(folder)
    return folder


@contextmanager
def serving(command: list[str], port: int, directory: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Run a server in a directory until the block ends; its URL."""
    log = directory / "log"
    clean = {"PATH": programs.PATH, "HOME": str(directory), **env}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, env=clean, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: listens(port) or process.poll() is not None, START_SECONDS, log.read_text)
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _make(folder: Path) -> None:
    print(f"* Installing {', '.join(PACKAGES)} into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", f"--python={folder}", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*pip, "--no-compile", *PACKAGES], check=True)
    except BaseException:
        # A half-made one would look whole the next time.
        shutil.rmtree(folder, ignore_errors=True)
        raise
