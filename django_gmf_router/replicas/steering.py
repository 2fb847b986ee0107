"""What do operators say of a cluster, as its nodes tell it?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """The control state of a cluster for one site; without one nothing is steered."""

    version: int = 0
    share: float | None = None
    """The part of the clients that replicas serve; None: what SHARE says."""


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
        return Steering(version=int(version), share=None if share is None else float(share))
    except (ValueError, TypeError, AttributeError):
        return Steering(version=int(version))
