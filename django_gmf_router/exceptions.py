"""Which errors does this package raise of its own?"""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import DatabaseError, OperationalError
from django.utils.translation import gettext_lazy


class UnexpectedWrite(DatabaseError):
    """A request that the rules sent to replicas writes to the primary, and `UNEXPECTED_WRITES` is "refuse"."""


class PrimaryUnavailable(OperationalError):
    """No primary answers: what needs one cannot be done now; requests that meet it are answered with 503.

    A read needs one where no replica answers either.
    """

    NOTHING_SAVED = gettext_lazy("Nothing can be saved right now. Try again in a moment.")
    MAY_BE_SAVED = gettext_lazy("It may have been saved. Look before you try again.")

    def __init__(self, alias: str, cause: str = "", may_be_saved: bool = False) -> None:
        """Name the primary's alias, and the driver's words; may_be_saved: a write was under way that may have ended."""
        # Pickle and queues of jobs make it anew from these.
        super().__init__(alias, cause, may_be_saved)
        self.alias = alias
        """The primary's."""
        self.may_be_saved = may_be_saved
        """Whether nobody knows what became of a write."""

    @property
    def outcome(self) -> str:
        """What its user is told, in the language that is active: two short sentences that name no server."""
        return str(self.MAY_BE_SAVED if self.may_be_saved else self.NOTHING_SAVED)

    def __str__(self) -> str:
        """Return what an operator reads, in English as the log is."""
        alias, cause, may_be_saved = self.args
        if may_be_saved:
            text = f"The primary {alias!r} was lost in the middle of a write, which may have been saved."
        else:
            text = f"The primary {alias!r} does not answer: nothing can be written now. Try again in a moment."
        return f"{text} ({cause})" if cause else text


class PrimaryBusy(PrimaryUnavailable):
    """As many requests read from the primary in place of the replicas as `SPILL` allows: the next is answered 503."""

    TOO_MANY = gettext_lazy("Too many requests right now. Try again in a moment.")

    def __init__(self, alias: str, limit: int) -> None:
        """Name the primary's alias, and how many requests may read there at once."""
        super().__init__(alias)
        self.args = (alias, limit)

    @property
    def outcome(self) -> str:
        """What its user is told."""
        return str(self.TOO_MANY)

    def __str__(self) -> str:
        """Return what an operator reads."""
        alias, limit = self.args
        return f"No replica of {alias!r} serves, and its primary takes {limit} such requests at once (SPILL)."


class MaintenanceMode(PrimaryUnavailable):
    """Operators let requests read only: the statement was not sent, and the request is answered 503."""

    READ_ONLY = gettext_lazy("Nothing can be saved right now: the site is in maintenance.")

    def __init__(self, alias: str, reason: str = "") -> None:
        """Name the primary's alias, and why; who wanted to save something is told the reason."""
        super().__init__(alias)
        self.args = (alias, reason)

    @property
    def outcome(self) -> str:
        """What its user is told: the reason as operators wrote it."""
        return f"{self.READ_ONLY} {self.args[1]}".rstrip()

    def __str__(self) -> str:
        """Return what an operator reads."""
        alias, reason = self.args
        return f"The cluster of {alias!r} is in maintenance, so nothing is written. {reason}".rstrip()


class ReplicaMigrationRefused(CommandError):
    """`migrate` was told to migrate a replica: replicas receive every migration from their primary."""


class ControlUnavailable(CommandError):
    """A cluster cannot be steered: its database has no table of control states."""


class ControlRefused(CommandError):
    """What was said of a cluster makes no sense there: nothing was changed."""


class SchemasLocked(CommandError):
    """Another command changes the schemas of the database."""


class CloneRefused(CommandError):
    """A schema is not cloned: source and target are as they were."""
