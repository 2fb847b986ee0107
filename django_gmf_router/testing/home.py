"""Where do the servers of a cluster live, and how do PostgreSQL's programs run there?"""

from __future__ import annotations

import csv
import io
import os
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any

from django_gmf_router.testing.machine import HOST, Account, LocalClusterError

Row = tuple["str | None", ...]

SUPERUSER = "postgres"
REPLICATION_USER = "gmf_replication"
NODES = "nodes"
PASSWORD_FILE = "passwords"  # noqa: S105  (the name of a file)
NULL = "\x1aNULL\x1a"
PSQL_OPTIONS = ("-Xqt", "--csv", "-P", f"null={NULL}", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose")
COMPLAINT = re.compile(r"error|fatal", re.IGNORECASE)
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


class Home:
    """The directory of a cluster's servers: data, logs and passwords.

    Passwords travel in a file that libpq reads, never on a command line. The caller's PG* variables are not
    passed on: they speak of other servers.
    """

    def __init__(self, path: Path, *, bin_dir: Path, account: Account) -> None:
        self.path = path
        self.bin_dir = bin_dir
        self.account = account
        # What the servers' user owns: data and logs.
        self.nodes = path / NODES

    def make_passwords(self, user: str) -> None:
        """Make up the passwords of all roles; the file has libpq's format (manual: "The Password File")."""
        names = (SUPERUSER, REPLICATION_USER, user)
        lines = [f"{HOST}:*:*:{name}:{secrets.token_hex(16)}\n" for name in names]
        self.account.write_private(self.path / PASSWORD_FILE, "".join(lines))

    def passwords(self) -> dict[str, str]:
        """Return the passwords by the name of the role."""
        fields = [line.split(":") for line in (self.path / PASSWORD_FILE).read_text().splitlines()]
        return {user: password for _, _, _, user, password in fields}

    def run(self, program: str, *args: str, timeout_seconds: float) -> None:
        """Run a program as the servers' user; raises LocalClusterError with what it said."""
        # In `home`, so that whatever is left over after a crash is found by its working directory.
        options: dict[str, Any] = {"cwd": self.path, "umask": 0o077}
        if self.account.is_other:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        late = f"{program} did not end within {timeout_seconds:g} s"
        self._output([program, *args], f"{program} failed", late, timeout=timeout_seconds, **options)

    def query(self, node: str, port: int, sql: str, *, database: str, timeout_seconds: float) -> list[Row]:
        """Run SQL as superuser and return the rows of all its statements, values as text, NULL as None.

        Raises LocalClusterError when the server refuses it or does not answer in time.
        """
        target = ("-h", HOST, "-p", str(port), "-U", SUPERUSER, "-d", database, "-w")
        late = f"{node} did not answer within {timeout_seconds:g} s: thaw it if it is frozen"
        # By stdin, since anybody can read command lines and SQL may hold a password.
        options = {"input": sql.encode(), "timeout": timeout_seconds}
        output = self._output(["psql", *target, *PSQL_OPTIONS], node, late, **options)
        lines = csv.reader(io.StringIO(output.decode(), newline=""))
        # psql prints a row of one empty value as an empty line.
        return [tuple(None if value == NULL else value for value in line) or ("",) for line in lines]

    def redact(self, output: bytes) -> str:
        """Return a program's output without the cluster's passwords."""
        text = output.decode(errors="replace")
        for password in self.passwords().values():
            text = text.replace(password, "***")
        return text

    def _output(self, command: list[str], subject: str, late: str, **options: Any) -> bytes:
        """Return what a program prints; `subject` and `late` say what failed, or took too long."""
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        ours = {"HOME": str(self.path), "PGPASSFILE": str(self.path / PASSWORD_FILE)}
        environment = {**kept, **ours, "LC_ALL": "C", "PGCLIENTENCODING": "UTF8"}
        program = [str(self.bin_dir / command[0]), *command[1:]]
        try:
            done: subprocess.CompletedProcess[bytes] = subprocess.run(
                program, capture_output=True, check=False, env=environment, **options
            )
        except subprocess.TimeoutExpired:
            raise LocalClusterError(late) from None
        if done.returncode != 0:
            lines = self.redact(done.stderr).strip().splitlines() or ["no message"]
            raise LocalClusterError(f"{subject}: {next(filter(COMPLAINT.search, lines), lines[0])}")
        return done.stdout
