"""To which nodes may an alias connect, in which order?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence, Set

Is = Callable[[str], bool]


def nodes_to_try(
    alias: str,
    *,
    primary: str,
    replicas: Sequence[str],
    balanced: Set[str] = frozenset(),
    is_down: Is,
    serves: Is,
    avoid: str | None = None,
) -> Iterator[str]:
    """Yield the nodes for a replica's alias: its own unless that is down, then other healthy ones, at last the primary.

    `balanced`: aliases that are more than one server; a new connection may lead to another one, so they are tried
    twice, also after a read has just failed on them. `serves`: up, and within the lag limit. `avoid` is the node that a
    read has just failed on.
    """
    if alias in balanced and not is_down(alias):
        yield alias
        yield alias
    elif alias != avoid and not is_down(alias):
        yield alias
    others = [replica for replica in replicas if replica not in {alias, avoid}]
    random.shuffle(others)
    yield from (replica for replica in others if serves(replica))
    yield primary


def nodes_for_reads_of_the_primary(
    primary: str, *, replicas: Sequence[str], is_down: Is, avoid: str | None = None
) -> Iterator[str]:
    """Yield the nodes for reads of the primary's alias that a replica may serve while the primary is away."""
    if primary != avoid and not is_down(primary):
        yield primary
    others = list(replicas)
    random.shuffle(others)
    yield from (replica for replica in others if not is_down(replica))
