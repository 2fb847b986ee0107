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

    NOTHING_SAVED = "Nothing can be saved right now. Try again in a moment."
    MAY_BE_SAVED = "It may have been saved. Look before you try again."

    def __init__(self, alias: str, cause: str = "", *, may_be_saved: bool = False) -> None:
        """Name the primary's alias, and the driver's words; may_be_saved: a write was under way that may have ended."""
        if may_be_saved:
            text = f"The primary {alias!r} was lost in the middle of a write, which may have been saved."
        else:
            text = f"The primary {alias!r} does not answer: nothing can be written now. Try again in a moment."
        super().__init__(f"{text} ({cause})" if cause else text)
        self.alias = alias
        """The primary's."""
        self.outcome = self.MAY_BE_SAVED if may_be_saved else self.NOTHING_SAVED
        """What its user is told: two short sentences that name no server."""


class PrimaryBusy(PrimaryUnavailable):
    """As many requests read from the primary in place of the replicas as `SPILL` allows: the next is answered 503."""

    TOO_MANY = "Too many requests right now. Try again in a moment."

    def __init__(self, alias: str, limit: int) -> None:
        """Name the primary's alias, and how many requests may read there at once."""
        super().__init__(alias)
        self.args = (f"No replica of {alias!r} serves, and its primary takes {limit} such requests at once (SPILL).",)
        self.outcome = self.TOO_MANY


class ReplicaMigrationRefused(CommandError):
    """`migrate` was told to migrate a replica: replicas receive every migration from their primary."""


class ControlUnavailable(CommandError):
    """A cluster cannot be steered: its database has no table of control states."""


class SchemasLocked(CommandError):
    """Another command changes the schemas of the database."""


class CloneRefused(CommandError):
    """A schema is not cloned: source and target are as they were."""
