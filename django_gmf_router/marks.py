"""How far did a client write in one cluster, and which of two answers to that counts?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One cluster's part of a token.

    cluster: its primary's alias; system_identifier, timeline: of the server that was the primary, None where nobody can
    tell; position: in its write-ahead log, at rest, all of the client's writes lie before it; None where there are no
    positions, or none could be asked for: then only the time of the token counts.
    """

    cluster: str
    system_identifier: str | None
    timeline: int | None
    position: int | None

    def followed_by(self, other: Mark, *, order_is_certain: bool = True) -> Mark:
        """Return the mark of a client that has this and a later one of the same cluster.

        `order_is_certain`: whether `other` is the later one by more than the clocks of two servers may differ.
        """
        if _differ(self.system_identifier, other.system_identifier):
            return other
        if _differ(self.timeline, other.timeline):
            return max(self, other, key=lambda mark: mark.timeline or 0)
        if self.position is None or other.position is None:
            return self._without_position(other, order_is_certain)
        return Mark(
            cluster=self.cluster,
            system_identifier=other.system_identifier or self.system_identifier,
            timeline=other.timeline or self.timeline,
            position=max(self.position, other.position),
        )

    def _without_position(self, other: Mark, order_is_certain: bool) -> Mark:
        """Where one is time only: a later position lies after its write too, an earlier one tells nothing of it."""
        if other.position is None or order_is_certain:
            return other
        return self if self.position is None else other


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other
