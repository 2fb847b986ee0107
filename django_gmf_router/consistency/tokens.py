"""What does a client carry so that it reads its own writes, and is what it brings really ours?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from django.core.signing import BadSignature, Signer

VERSION = 1
SALT = "django_gmf_router.token"
LONGEST_TEXT = 1024
CLOCK_TOLERANCE_SECONDS = 5.0
"""How far the clocks of two web servers may differ: a redirect reaches the other one within a millisecond."""
ANY_CLUSTER = ""
"""The cluster of a mark that stands for those which found no room; no alias is empty."""

# As what `quote` leaves, cookies and headers take it as it is (RFC 6265, cookie-octet; RFC 9110, field-vchar).
_BETWEEN = "!"
_FIELDS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One cluster's part of a token: how far a client wrote there."""

    cluster: str
    """The alias of its primary."""
    system_identifier: str | None = None
    timeline: int | None = None
    """Of the server that was the primary; None where nobody can tell."""
    position: int | None = None
    """In its write-ahead log, at rest: all of the client's writes lie before it.

    None where there are no positions, or none could be asked for: then only the time of the token counts.
    """

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
        return other if other.position is None or order_is_certain else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a client has written."""

    time: float
    """Of its last write, in seconds of the wall clock."""
    marks: tuple[Mark, ...] = ()
    """One for each cluster."""
    version: int = VERSION
    """That of the text."""

    def mark(self, cluster: str) -> Mark | None:
        """Return the mark of a cluster, by the alias of its primary; None: the client wrote nothing there."""
        found = {mark.cluster: mark for mark in self.marks}
        # It is not known to be covered by a position: whichever is later, the cautious one counts.
        return found.get(ANY_CLUSTER) or found.get(cluster)

    def merged(self, other: Token) -> Token:
        """Return the token of a client that has written what both say, in whichever order.

        Its time is the newer one, for all marks.
        """
        older, newer = sorted((self, other), key=lambda token: token.time)
        seconds_between = newer.time - older.time
        marks = {mark.cluster: mark for mark in older.marks}
        for mark in newer.marks:
            known = marks.get(mark.cluster)
            certain = seconds_between > CLOCK_TOLERANCE_SECONDS
            marks[mark.cluster] = mark if known is None else known.followed_by(mark, order_is_certain=certain)
        return Token(time=newer.time, marks=tuple(marks.values()))


def dumps(token: Token) -> str:
    """Return the signed text of a token: about 100 characters for one cluster, 1,024 at most.

    Cookies and headers take all of them as they are. Where the marks of many clusters find no room, the text says of
    every cluster that something was written, and of none where.
    """
    text = _signed(token)
    if len(text) <= LONGEST_TEXT:
        return text
    return _signed(Token(time=token.time, marks=(Mark(cluster=ANY_CLUSTER),)))


def loads(text: object, *, max_age_seconds: float, now: float) -> Token | None:
    """Return the token of a text that a client sent; None unless this site signed it and it still counts. Never raises.

    `now`: seconds of the wall clock. A token counts for `max_age_seconds` by the clock of the server that signed it,
    but not if its time is more than CLOCK_TOLERANCE_SECONDS ahead of `now` (`max_age_seconds` if that is less).
    """
    # Before any work: what is longer than any of ours is not ours, whoever sent it.
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        return None
    try:
        token = _parsed(Signer(salt=SALT).unsign(text))
    except (BadSignature, ValueError, OverflowError):
        return None
    age = now - token.time
    return token if -min(CLOCK_TOLERANCE_SECONDS, max_age_seconds) <= age <= max_age_seconds else None


def _signed(token: Token) -> str:
    fields = [f"{token.version:x}", f"{round(token.time * 1000):x}"]
    for mark in token.marks:
        fields += (quote(mark.cluster, safe=""), quote(mark.system_identifier or "", safe=""))
        fields += (_hex(mark.timeline), _hex(mark.position))
    return Signer(salt=SALT).sign(_BETWEEN.join(fields))


def _parsed(payload: str) -> Token:
    """Raises ValueError for the payload of another version: the signature alone says nothing of it."""
    version, time, *rest = payload.split(_BETWEEN)
    if int(version, 16) != VERSION or len(rest) % _FIELDS:
        raise ValueError(f"This is no token of version {VERSION}.")
    return Token(time=int(time, 16) / 1000, marks=tuple(_marks(rest)))


def _marks(fields: list[str]) -> Iterable[Mark]:
    for start in range(0, len(fields), _FIELDS):
        cluster, system_identifier, timeline, position = fields[start : start + _FIELDS]
        yield Mark(
            cluster=unquote(cluster),
            system_identifier=unquote(system_identifier) or None,
            timeline=_number(timeline),
            position=_number(position),
        )


def _hex(number: int | None) -> str:
    return "" if number is None else f"{number:x}"


def _number(text: str) -> int | None:
    return int(text, 16) if text else None


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other
