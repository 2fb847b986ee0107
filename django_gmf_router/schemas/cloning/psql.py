"""How does a dump get into the database, whole or not at all, whoever is killed meanwhile?"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO

from django_gmf_router.exceptions import CloneRefused
from django_gmf_router.postgres.names import quote
from django_gmf_router.postgres.programs import Programs
from django_gmf_router.schemas.session import LOCK_WAIT_MS

GRACE_SECONDS = 2.0
POLL_SECONDS = 0.25
# Popen.wait() looks ever more rarely, 20 times a second in the end; one that is asked for so little looks every 8 ms.
LOOK_SECONDS = 0.02
LINES = 4
# An error, the lines that belong to it, and what fails since pg_dump restores with an empty search_path.
ERROR = re.compile(r"ERROR|FATAL|error:")
BELONGING = re.compile(r"(\S+: )?(DETAIL|HINT|CONTEXT|detail|hint): ")
UNFOUND = re.compile(r'does not exist.*CONTEXT: .*?function "?([^"(]+)["(]')
PSQL = ("-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null")
Step = Callable[[], None]


class PsqlTransaction:
    """psql in one transaction, which others write into through a pipe.

    COMMIT is written last, by `commit` alone. When the pipe ends before it, whoever was killed, the server rolls back.
    Never `psql -1` nor a file that ends in COMMIT: psql takes the end of half a file for the end of the whole.
    """

    def __init__(self, psql: str, environment: dict[str, str], while_waiting: Step) -> None:
        """Start psql; `while_waiting` is called again and again while others write."""
        self._environment = environment
        self._while_waiting = while_waiting
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (closed by __exit__)
        # In a session of its own: Ctrl-C in a terminal reaches this process alone, which then ends it.
        self._psql = subprocess.Popen(
            [psql, *PSQL],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
        assert self._psql.stdin is not None  # noqa: S101  (for mypy)
        self._pipe = self._psql.stdin
        self.write("BEGIN;\n")

    def __enter__(self) -> PsqlTransaction:
        return self

    def __exit__(self, *args: object) -> None:
        # Killed before its pipe closes: with the end of its input psql would do what it has.
        _end(self._psql)
        with suppress(BrokenPipeError):
            self._pipe.close()
        self._complaints.close()

    def write(self, sql: str) -> None:
        """Write SQL; raise CloneRefused when psql is gone."""
        data = memoryview(sql.encode())
        try:
            while data:
                data = data[self._pipe.write(data) :]
        except BrokenPipeError:
            raise self._failure() from None

    def pour(self, *command: str, source: IO[bytes] | int = subprocess.DEVNULL, passed: Sequence[int] = ()) -> None:
        """Let a program write what it makes of `source`; raise CloneRefused unless it and psql went through all."""
        try:
            run(command, self._environment, self._while_waiting, output=self._pipe, source=source, passed=passed)
        except CloneRefused:
            # A program that cannot write any more fails after psql, which knows why.
            with suppress(subprocess.TimeoutExpired):
                self._psql.wait(GRACE_SECONDS)
                raise self._failure() from None
            raise

    def commit(self) -> None:
        """Commit, and return when psql has ended well; raise CloneRefused otherwise."""
        self.write("COMMIT;\n")
        self._pipe.close()
        if _watch(self._psql, self._while_waiting) != 0:
            raise self._failure()

    def _failure(self) -> CloneRefused:
        _end(self._psql)
        return CloneRefused(f"psql: {complaint(self._complaints, self._psql.returncode)}")


def dump_command(programs: Programs, schema: str, role: str | None, *options: str) -> tuple[str, ...]:
    """Return the command that dumps a schema."""
    as_role = ("--role", role) if role else ()
    named = ("-w", "--strict-names", "-n", quote(schema), f"--lock-wait-timeout={LOCK_WAIT_MS}")
    return (programs.path("pg_dump"), *named, *as_role, *options)


def run(
    command: tuple[str, ...],
    environment: dict[str, str],
    while_waiting: Step,
    *,
    output: IO[bytes] | int = subprocess.DEVNULL,
    source: IO[bytes] | int = subprocess.DEVNULL,
    passed: Sequence[int] = (),
) -> None:
    """Run a program, to which open files may be passed; raise CloneRefused with what it said when it fails."""
    with tempfile.TemporaryFile() as complaints:
        program = subprocess.Popen(
            command,
            stdin=source,
            stdout=output,
            stderr=complaints,
            env=environment,
            start_new_session=True,
            pass_fds=passed,
        )
        try:
            code = _watch(program, while_waiting)
        finally:
            _end(program)
        if code != 0:
            raise CloneRefused(f"{command[0].rpartition('/')[2]}: {complaint(complaints, code)}")


def _watch(program: subprocess.Popen[bytes], while_waiting: Step) -> int:
    told_at = time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            return program.wait(LOOK_SECONDS)
        if time.monotonic() - told_at >= POLL_SECONDS:
            while_waiting()
            told_at = time.monotonic()


def _end(program: subprocess.Popen[bytes]) -> None:
    if program.poll() is None:
        program.kill()
        program.wait()


def complaint(output: IO[bytes], code: int) -> str:
    """Return, as one line, what a program said when it failed."""
    if code < 0:
        return f"was killed by signal {-code}"
    output.seek(0)
    lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if ERROR.search(line)), 0)
    belonging = [line for line in lines[first + 1 :] if BELONGING.match(line)]
    said = " ".join((lines[first : first + 1] + belonging)[:LINES]) or f"ended with exit code {code}"
    if "lock timeout" in said or ("timeout" in said and "Query was: LOCK TABLE" in said):
        said += ": end the long transactions there, then try again."
    elif unfound := UNFOUND.search(said):
        said += (
            f". The function {unfound[1]} finds names by the search_path of a session, which is empty while a dump is "
            f"restored: ALTER FUNCTION {unfound[1]} SET search_path = the schemas that it needs, then try again."
        )
    return said
