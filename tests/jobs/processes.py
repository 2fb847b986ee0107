"""How does a test start a Redis, a worker, a beat, and somebody who sends jobs?"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from django_gmf_router.testing.machine import HOST, free_ports
from tests.cluster.scripts import Ask, script
from tests.cluster.sites import ROOT
from tests.waiting import until

START_SECONDS = 30
STOP_SECONDS = 20
VISIBLE_AFTER_SECONDS = 1
"""A message whose worker died is delivered again after it; Celery's default is an hour."""
APP = "tests.jobs.app"
SENDER = "from tests.jobs.senders import serve; serve()"
Send = Callable[..., Any]


@contextmanager
def redis_server(program: str, directory: Path) -> Iterator[str]:
    """Run a Redis on loopback that keeps nothing, until the block ends; return its URL."""
    (port,) = free_ports(1)
    command = [
        program,
        "--bind",
        HOST,
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(directory),
    ]
    with (directory / "redis.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        client = redis.Redis(HOST, port)
        until(lambda: process.poll() is not None or _answers(client), START_SECONDS, "Redis answers")
        client.close()
        assert process.poll() is None, (directory / "redis.log").read_text()
        yield f"redis://{HOST}:{port}/0"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def redis_program() -> str | None:
    """Return where the program is."""
    return shutil.which("redis-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, as a machine that fails does."""
    if process.poll() is None:
        main = psutil.Process(process.pid)
        for each in (main, *main.children(recursive=True)):
            each.kill()
    process.wait(STOP_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that is running."""

    process: subprocess.Popen[bytes]
    log: Path
    pool: str

    def text(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def worker(
    env: Mapping[str, str], directory: Path, pool: str = "prefork", concurrency: int = 1, queue: str = "celery"
) -> Iterator[Worker]:
    """Run a worker until the block ends, or has ended it."""
    words = ["worker", "-P", pool, "-Q", queue, "-l", "INFO"]
    words += ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    if pool != "solo":
        words += ["-c", str(concurrency)]
    log = directory / f"{pool}-{len(list(directory.glob('*.log')))}.log"
    with _celery(env, log, *words) as process:
        found = Worker(process=process, log=log, pool=pool)
        until(lambda: process.poll() is not None or " ready." in found.text(), START_SECONDS, found.text)
        assert process.poll() is None, found.text()
        yield found


@contextmanager
def beat(env: Mapping[str, str], directory: Path) -> Iterator[Path]:
    """Run beat until the block ends; return its log."""
    log = directory / "beat.log"
    words = ["beat", "-l", "INFO", "-s", str(directory / "schedule"), "--pidfile="]
    with _celery(env, log, *words):
        yield log


@contextmanager
def _celery(env: Mapping[str, str], log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "-A", APP, *words]
    # Coverage would trace greenlets as one thread, and what is killed writes nothing down.
    env = {key: value for key, value in env.items() if not key.startswith("COVERAGE_PROCESS")}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        # Nothing is under way any more, and a warm shutdown takes up to ten seconds.
        kill(process)


@contextmanager
def sender(env: Mapping[str, str]) -> Iterator[Send]:
    """Run a process of the site that sends jobs, until the block ends; return how to call what it can do."""
    with script(SENDER, env) as ask:
        yield _calls(ask)


def _calls(ask: Ask) -> Send:
    def send(what: str, *args: Any, **kwargs: Any) -> Any:
        line = ask(json.dumps([what, args, kwargs]))
        assert line, f"{what}: the sender ended; see its output"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    return send
