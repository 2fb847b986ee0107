"""Which use_primary() and use_replica() blocks are open here?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from django_gmf_router.decision import Decision
from django_gmf_router.routing.lazy_response import keep_for_response
from django_gmf_router.routing.unit_of_work import UnitOfWork, current_place, open_unit, place
from django_gmf_router.settings.values import Role

LEVELS = ("session", "eventual")
View = TypeVar("View", bound=Callable[..., Any])


class OpenBlock:
    """One entering of a block; outside requests it carries a unit of work, so that its reads share one replica."""

    __slots__ = ("block", "eventual", "picks", "reason", "role", "token", "unit", "unmet")

    def __init__(self, block: Block, unit: UnitOfWork | None) -> None:
        """Enter `block`; `unit` is given where no other is open."""
        self.block = block
        self.role = block.role
        self.reason = block.reason
        self.eventual = block.eventual
        self.token = block.token
        self.unmet = block.unmet
        self.unit = unit
        # By policy the replica of this block, where it demands other data than the rest of the unit of work.
        self.picks: dict[object, tuple[Decision, str]] = {}


def innermost_role(blocks: tuple[OpenBlock, ...]) -> Role | None:
    """Return the role that the innermost block with one gives."""
    return next((block.role for block in reversed(blocks) if block.role is not None), None)


def is_eventual(blocks: tuple[OpenBlock, ...]) -> bool:
    """Return whether the innermost block with a role says that any replica will do."""
    return next((block.eventual for block in reversed(blocks) if block.role is not None), False)


class Block:
    """A context manager and decorator that says of the reads inside where they go; it holds no state of its own."""

    __slots__ = ("eventual", "reason", "role", "token", "unmet")

    def __init__(
        self, role: Role | None, reason: str, *, eventual: bool = False, token: Any = None, unmet: bool = False
    ) -> None:
        """Fix `role` for `reason`, None leaves it to the rules; `token` must be seen by the reads inside.

        `eventual`: what the client wrote in requests before need not be seen; `unmet`: what must be seen nobody knows,
        only the primary is sure to have it.
        """
        self.role = role
        self.reason = reason
        self.eventual = eventual
        self.token = token
        self.unmet = unmet

    def __enter__(self) -> None:
        here = current_place.get()
        own = None
        if open_unit() is None:
            own = (here.blocks[-1].unit if here.blocks else None) or UnitOfWork()
        current_place.set(place(here.unit, (*here.blocks, OpenBlock(self, own))))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A generator that is suspended inside a block leaves it open in its caller: blocks may then end out of order,
        # so this one is searched from the end and not simply popped.
        here = current_place.get()
        opened = here.blocks
        for index in range(len(opened) - 1, -1, -1):
            if opened[index].block is self:
                current_place.set(place(here.unit, opened[:index] + opened[index + 1 :]))
                return

    def __call__(self, view: View) -> View:
        """Decorate a function, a coroutine function, or through `method_decorator` a class-based view."""
        decorated: Any = self._async(view) if iscoroutinefunction(view) else self._sync(view)
        return decorated  # type: ignore[no-any-return]

    def _sync(self, view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with self:
                result = view(*args, **kwargs)
            # The dispatch() of an async class-based view is no coroutine function, and yet answers a coroutine.
            return self._awaited(result) if inspect.isawaitable(result) else keep_for_response(result, self)

        return inner

    def _async(self, view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        async def inner(*args: Any, **kwargs: Any) -> Any:
            return await self._awaited(view(*args, **kwargs))

        return markcoroutinefunction(inner)

    async def _awaited(self, result: Any) -> Any:
        with self:
            response = await result
        return keep_for_response(response, self)


@overload
def use_primary() -> Block: ...
@overload
def use_primary(view: View) -> View: ...
def use_primary(view: Callable[..., Any] | None = None) -> Any:
    """Read from the primary inside this block, function or view: `with use_primary():` or `@use_primary()`.

    The innermost block wins. A decorated view keeps its choice while its lazy response renders or streams.
    """
    block = Block(Role.PRIMARY, "use_primary")
    return block if view is None else block(view)


@overload
def use_replica(*, level: str = "session") -> Block: ...
@overload
def use_replica(view: View) -> View: ...
def use_replica(view: Callable[..., Any] | None = None, *, level: str = "session") -> Any:
    """Read from a replica inside this block, function or view, also after writes; see `use_primary`.

    `level`: "session", the replica has what the client wrote in earlier requests, or "eventual", any replica. Raises
    ValueError for another level.
    """
    if level not in LEVELS:
        raise ValueError(f"use_replica(level={level!r}): choose one of {', '.join(map(repr, LEVELS))}.")
    block = Block(Role.REPLICA, "use_replica", eventual=level == "eventual")
    return block if view is None else block(view)
