"""How are PostgreSQL's programs run: by whom, in which environment, with which password?"""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from django_gmf_router.testing.accounts import Account
from django_gmf_router.testing.errors import LocalClusterError
from django_gmf_router.testing.ports import HOST
from django_gmf_router.testing.processes import Process, adopt

Row = tuple["str | None", ...]

SUPERUSER = "postgres"
PASSWORD_FILE = "passwords"  # noqa: S105  (the name of a file)
NULL = "\x1aNULL\x1a"
PSQL_OPTIONS = ("-Xqt", "--csv", "-P", f"null={NULL}", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose")
COMPLAINT = re.compile(r"error|fatal", re.IGNORECASE)
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


class Programs:
    """Runs the programs of one cluster.

    Passwords travel in a file that libpq reads, never on a command line. The caller's PG* variables are not
    passed on: they speak of other servers.
    """

    def __init__(self, *, bin_dir: Path, home: Path, account: Account) -> None:
        self.bin_dir = bin_dir
        self.home = home
        self.account = account

    def run(self, program: str, *args: str, timeout_seconds: float) -> None:
        """Run a program as the servers' user; raises LocalClusterError with what it said."""
        command = [str(self.bin_dir / program), *args]
        try:
            done = subprocess.run(
                command, capture_output=True, check=False, timeout=timeout_seconds, **self._as_server()
            )
        except subprocess.TimeoutExpired:
            raise LocalClusterError(f"{program} did not end within {timeout_seconds:g} s") from None
        if done.returncode != 0:
            raise LocalClusterError(f"{program} failed: {self.complaint(done.stderr)}")

    def start_server(self, *args: str, log: Path) -> tuple[subprocess.Popen[bytes], Process | None]:
        """Start a server that writes to a log; the process is None if it has ended already."""
        command = [str(self.bin_dir / "postgres"), *args]
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **self._as_server(),
            )
        return child, adopt(child)

    def query(self, node: str, port: int, sql: str, *, database: str, user: str, timeout_seconds: float) -> list[Row]:
        """Run SQL through psql and return the rows of all its statements, values as text, NULL as None.

        Raises LocalClusterError when the server refuses it or does not answer in time.
        """
        target = ("-h", HOST, "-p", str(port), "-U", user, "-d", database, "-w")
        command = [str(self.bin_dir / "psql"), *target, *PSQL_OPTIONS]
        try:
            # By stdin, since anybody can read command lines and SQL may hold a password.
            done = subprocess.run(
                command,
                input=sql.encode(),
                capture_output=True,
                check=False,
                timeout=timeout_seconds,
                env=self._environment(),
            )
        except subprocess.TimeoutExpired:
            message = f"{node} did not answer within {timeout_seconds:g} s: thaw it if it is frozen"
            raise LocalClusterError(message) from None
        if done.returncode != 0:
            raise LocalClusterError(f"{node}: {self.complaint(done.stderr)}")
        return _rows(done.stdout.decode())

    def complaint(self, output: bytes) -> str:
        """Return the line of a program's output that says what went wrong."""
        lines = self.redact(output).strip().splitlines() or ["no message"]
        return next((line for line in lines if COMPLAINT.search(line)), lines[0])

    def redact(self, output: bytes) -> str:
        """Return a program's output without the cluster's passwords."""
        text = output.decode(errors="replace")
        for password in self.passwords().values():
            text = text.replace(password, "***")
        return text

    def passwords(self) -> dict[str, str]:
        """Return the passwords by the name of the role."""
        lines = (self.home / PASSWORD_FILE).read_text().splitlines()
        fields = [line.split(":") for line in lines]
        return {user: password for _, _, _, user, password in fields}

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        files = {"HOME": str(self.home), "PGPASSFILE": str(self.home / PASSWORD_FILE)}
        return {**kept, **files, "LC_ALL": "C", "PGCLIENTENCODING": "UTF8"}

    def _as_server(self) -> dict[str, Any]:
        # In `home`, so that whatever is left over after a crash is found by its working directory.
        common: dict[str, Any] = {"cwd": self.home, "env": self._environment(), "umask": 0o077}
        if not self.account.is_other:
            return common
        return {**common, "user": self.account.uid, "group": self.account.gid, "extra_groups": []}


def _rows(text: str) -> list[Row]:
    lines = csv.reader(io.StringIO(text, newline=""))
    # psql prints a row of one empty value as an empty line.
    return [tuple(None if value == NULL else value for value in line) or ("",) for line in lines]
