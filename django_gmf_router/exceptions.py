"""Which errors does this package raise of its own?"""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import DatabaseError, OperationalError


class UnexpectedWrite(DatabaseError):
    """A request that the rules sent to replicas writes to the primary, and `UNEXPECTED_WRITES` is "refuse"."""


class PrimaryUnavailable(OperationalError):
    """No primary answers: what needs one cannot be done now; requests that meet it are answered with 503.

    A read needs one where no replica answers either.
    """

    def __init__(self, alias: str) -> None:
        """Name the primary's alias."""
        super().__init__(f"The primary {alias!r} does not answer: nothing can be written now. Try again in a moment.")


class ReplicaMigrationRefused(CommandError):
    """`migrate` was told to migrate a replica: replicas receive every migration from their primary."""


class SchemasLocked(CommandError):
    """Another command changes the schemas of the database."""


class CloneRefused(CommandError):
    """A schema is not cloned: source and target are as they were."""
