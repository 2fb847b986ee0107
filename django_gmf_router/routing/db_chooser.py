"""What do the rules over `METHOD /path` say? They are fixed when a unit of work opens.

Source: GeoMapFish's db_chooser. Patterns are tried with `re.match` on "METHOD /path", Django's decoded path with the
script prefix and without the query string; `master` wins over read methods and `slave`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django_gmf_router.routing.patterns import PatternSet
from django_gmf_router.settings.values import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A role and the rule that gave it."""

    role: Role
    reason: str


MASTER_OVERRIDE = Verdict(role=Role.PRIMARY, reason="master_override")
WRITE_METHOD = Verdict(role=Role.PRIMARY, reason="write_method")
READ_METHOD = Verdict(role=Role.REPLICA, reason="read_method")
SLAVE_OVERRIDE = Verdict(role=Role.REPLICA, reason="slave_override")


class DbChooser:
    """The rules of one cluster over `METHOD /path`."""

    def __init__(self, *, read_methods: Collection[str], master: Sequence[str], slave: Sequence[str]) -> None:
        """Take the methods that read, and the patterns that force the primary or a replica."""
        self.read_methods = frozenset(read_methods)
        self.master = PatternSet(master)
        self.slave = PatternSet(slave)

    def verdict(self, method: str, path: str) -> Verdict:
        """Return rules 5, 6 and 10 of the policy for one request."""
        subject = f"{method} {path}"
        if self.master.matches(subject):
            return MASTER_OVERRIDE
        if method in self.read_methods:
            return READ_METHOD
        return SLAVE_OVERRIDE if self.slave.matches(subject) else WRITE_METHOD
