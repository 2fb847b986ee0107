"""What was decided for a read, and why?"""

from __future__ import annotations

from dataclasses import dataclass

from django_gmf_router.settings.values import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The role a read may use, the alias that serves it, and the reason: the rule of the policy that held."""

    role: Role
    alias: str
    reason: str

    def __str__(self) -> str:
        """Print it as the debug header does."""
        return f"{self.alias}; reason={self.reason}"
