"""To which nodes may an alias connect, in which order?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

Is = Callable[[str], bool]


def nodes_to_try(
    own: Sequence[str], *, primary: str, replicas: Sequence[str], is_down: Is, serves: Is, avoid: str | None = None
) -> Iterator[str]:
    """Yield the nodes for a replica's alias: its own unless down, then other healthy ones, at last the primary.

    `own`: one, or several, the best first, of which those that serve are preferred; `replicas`: all of the cluster;
    `serves`: up, and within the lag limit; `avoid`: the node that a read has just failed on.
    """
    alive = [node for node in own if node != avoid and not is_down(node)]
    yield from [node for node in alive if len(own) > 1 and serves(node)] or alive
    others = [node for node in shuffled(replicas) if node not in {*own, avoid}]
    yield from (node for node in others if serves(node))
    yield primary


def nodes_for_reads_of_the_primary(
    primary: str, *, replicas: Sequence[str], is_down: Is, avoid: str | None = None
) -> Iterator[str]:
    """Yield the nodes for reads of the primary's alias that a replica may serve while the primary is away."""
    is_first = primary != avoid and not is_down(primary)
    if is_first:
        yield primary
    yield from (node for node in shuffled(replicas) if not is_down(node))
    if not is_first:
        # It may be back, and nobody has noticed yet.
        yield primary


def shuffled(nodes: Sequence[str]) -> list[str]:
    """Return the nodes in random order."""
    return random.sample(nodes, len(nodes))
