"""Which errors does this package raise of its own?"""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import DatabaseError


class UnexpectedWrite(DatabaseError):
    """A request that the rules sent to replicas writes to the primary, and `UNEXPECTED_WRITES` is "refuse"."""


class ReplicaMigrationRefused(CommandError):
    """`migrate` was told to migrate a replica: replicas receive every migration from their primary."""
