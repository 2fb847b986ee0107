"""Which aliases say more than their name? Strings that Django keeps in `_state.db` and hands back."""

from __future__ import annotations

from typing import Any


class ClusterAlias(str):
    """The primary's alias, as the answer to a write about an instance: it equals every alias of its cluster.

    Django's `RelatedManager.add()` refuses objects whose `_state.db` differs from the alias of the write ("instance
    isn't saved"). An object read from a replica is as saved as one read from the primary: it belongs to the cluster.
    Python asks the subclass on the right of `!=` first, so that `obj._state.db != db` sees this rule. It hashes as the
    primary's alias, and pickles and copies as a plain string.
    """

    __slots__ = ("_aliases",)
    _aliases: frozenset[str]

    def __new__(cls, primary: str, aliases: frozenset[str]) -> ClusterAlias:
        """Make the alias `primary` that stands for all of `aliases`."""
        alias = super().__new__(cls, primary)
        alias._aliases = aliases
        return alias

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str.__str__(other) in self._aliases

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __reduce_ex__(self, protocol: Any) -> tuple[type[str], tuple[str]]:
        return str, (str.__str__(self),)


class MirroredAlias(str):
    """The primary's alias in a test run, where a replica would have served: what was read so is not the primary's."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> tuple[type[str], tuple[str]]:
        return str, (str.__str__(self),)
