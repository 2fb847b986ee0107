"""As which user do the servers run, and which files can that user reach?"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from django_gmf_router.testing.errors import LocalClusterError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of this machine; `uid` and `gid` are None where the servers run as ourselves."""

    uid: int | None = None
    gid: int | None = None

    @property
    def is_other(self) -> bool:
        """Return whether the servers run as another user than this process."""
        return self.uid is not None

    def give(self, path: Path) -> None:
        """Make the user the owner of a file or directory."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def may_enter(self, path: Path) -> bool:
        """Return whether the user may go through a directory and all that are above it."""
        return not self.is_other or all(self._may_pass(each) for each in (path, *path.parents))

    def _may_pass(self, path: Path) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account() -> Account:
    """Return whom to run the servers as: ourselves, or another user for root, which PostgreSQL refuses.

    Raises LocalClusterError when there is no such user.
    """
    if os.geteuid() != 0:
        return Account()
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise LocalClusterError(
        f"PostgreSQL does not run as root and there is no user {' or '.join(CANDIDATES)}: "
        "add one (useradd --system postgres) or do not run as root"
    )


def write_private(path: Path, text: str, account: Account) -> None:
    """Write a new file that only the user can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    account.give(path)
