"""Who may serve of the replicas of a pool, by what is known of the nodes?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from django_gmf_router.replicas.health import NodeHealth, State
from django_gmf_router.settings.values import ReplicaConfig

Candidate: TypeAlias = tuple[str, float]
"""An alias, and its weight."""
Candidates: TypeAlias = Sequence[Candidate]
"""Equals to pick from."""


class Tier(NamedTuple):
    """Who serves of the replicas of one tier, and which slow ones beside them are only tried."""

    candidates: Candidates
    slow: Sequence[str] = ()


Tiers: TypeAlias = tuple[Tier, ...]
"""The first one serves."""


def serving(
    tiers: Sequence[Sequence[ReplicaConfig]], snapshot: Mapping[str, NodeHealth], drained: Collection[str] = ()
) -> Tiers:
    """Return who may serve of each tier, slow ones if there is no other there, without the tiers of which none may.

    An old page or a slow one is better than the primary's only where nobody else is left: what lags never serves, nor
    what is `drained`.
    """
    left = ([replica for replica in replicas if replica.alias not in drained] for replicas in tiers)
    return tuple(tier for replicas in left if (tier := _tier(replicas, snapshot)).candidates)


def _tier(replicas: Sequence[ReplicaConfig], snapshot: Mapping[str, NodeHealth]) -> Tier:
    up, slow = (
        tuple((replica.alias, replica.weight) for replica in replicas if snapshot[replica.alias].state == state)
        for state in (State.UP, State.SLOW)
    )
    return Tier(up, [alias for alias, _ in slow]) if up else Tier(slow)
