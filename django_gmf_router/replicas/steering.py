"""What do operators say of a cluster, as its nodes tell it?"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """The control state of a cluster for one site; without one nothing is steered."""

    version: int = 0
    share: float | None = None
    """The part of the clients that replicas serve; None: what SHARE says."""
    drained: frozenset[str] = frozenset()
    """The aliases that get no new reads, of all sites of the database: some may be none of this one's replicas."""
    maintenance: bool = False
    """Whether the requests of this site may only read."""
    maintenance_reason: str = ""
    """Why, as those are told who would save something."""

    def __str__(self) -> str:
        """Say it in one line."""
        said = [] if self.share is None else [f"replicas serve {self.share:g} of the clients"]
        if self.drained:
            said.append(f"drained: {', '.join(sorted(self.drained))}")
        if self.maintenance:
            said.append(f"maintenance: {self.maintenance_reason}" if self.maintenance_reason else "maintenance")
        return "; ".join(said) or "nothing"

    def says_the_same(self, other: Steering) -> bool:
        """Return whether `other` differs by its version at most."""
        return replace(self, version=other.version) == other


def newer(known: Steering, told: str | None, site: str) -> Steering:
    """Return the newer one of what is known and what a node told: a version, a space, the state of all sites as JSON.

    A replica that lags tells an old one. What this release cannot read steers nothing.
    """
    version, _, text = (told or "").partition(" ")
    if not version.isdigit() or int(version) <= known.version:
        return known
    try:
        state: Any = json.loads(text)
        share = state.get("share", {}).get(site)
        reason = state.get("maintenance", {}).get(site)
        return Steering(
            version=int(version),
            share=None if share is None else float(share),
            drained=frozenset(map(str, state.get("drained", ()))),
            maintenance=reason is not None,
            maintenance_reason=str(reason or ""),
        )
    except (ValueError, TypeError, AttributeError):
        return Steering(version=int(version))
