"""What does a local cluster say about its nodes?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["running", "frozen", "stopped"]
Role = Literal["primary", "replica"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One server of a local cluster; `role` is what the server itself says, None while it cannot be asked."""

    name: str
    role: Role | None
    port: int
    state: State
    pid: int | None
