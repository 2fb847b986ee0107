"""Where did the reads of a block go? For the tests of a site."""

from __future__ import annotations

import warnings
from typing import Any

from django_gmf_router.routing.unit_of_work import Decision
from django_gmf_router.signals import role_decided


class assert_routed_to:  # noqa: N801  reads as an assertion
    """Check in a `with` block how its reads were routed, of every thread; raises AssertionError at its end.

    `assert_routed_to("replica")`: there was a read, and every one had that role; reads of primary models do not count.
    `assert_routed_to("primary", reason="atomic")`: at least one read had that role for that reason.
    `decisions` holds what was seen: the changes of decision, in order.
    """

    def __init__(self, role: str, *, reason: str | None = None) -> None:
        """Expect `role`, "primary" or "replica", and a reason of the policy."""
        if role not in {"primary", "replica"}:
            raise ValueError(f"assert_routed_to({role!r}): the role is 'primary' or 'replica'.")
        self._role = role
        self._reason = reason
        self._entered = False
        self.decisions: list[Decision] = []

    def __enter__(self) -> assert_routed_to:
        self._entered = True
        role_decided.connect(self._note, weak=False, dispatch_uid=id(self))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        role_decided.disconnect(dispatch_uid=id(self))
        if kind is None and not self._holds():
            seen = ", ".join(map(str, self.decisions)) or "no read was routed"
            because = f" with reason {self._reason}" if self._reason else ""
            raise AssertionError(f"Expected the {self._role}{because}, but: {seen}.")

    def __del__(self) -> None:
        """Warn where the assertion was made without `with`, and so never checked anything."""
        if not getattr(self, "_entered", True):
            warnings.warn("assert_routed_to() checks nothing outside a `with` statement.", stacklevel=2)

    def _holds(self) -> bool:
        if self._reason is not None:
            return any(seen.role == self._role and seen.reason == self._reason for seen in self.decisions)
        counted = [seen for seen in self.decisions if seen.reason != "primary_model"]
        return bool(counted) and all(seen.role == self._role for seen in counted)

    def _note(self, *, decision: Decision, **kwargs: Any) -> None:  # noqa: ARG002
        self.decisions.append(decision)
