"""What do use_primary(), use_replica() and read_after() say of the reads inside them?"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from django_gmf_router.routing.lazy_response import Standpoint, keep_for_response
from django_gmf_router.routing.unit_of_work import (
    OpenBlock,
    Place,
    UnitOfWork,
    current_place,
    open_unit,
    place,
)
from django_gmf_router.settings import configuration
from django_gmf_router.settings.values import Role

if TYPE_CHECKING:
    from django_gmf_router.consistency.tokens import Token

LEVELS = ("session", "eventual")
View = TypeVar("View", bound=Callable[..., object])
# Whatever a site decorates: only its result is looked at.
Function = Callable[..., Any]


class Block:
    """A context manager and decorator that says of the reads inside where they go; it holds no state of its own."""

    __slots__ = ("eventual", "pool", "role", "token", "unmet")

    def __init__(
        self,
        role: Role | None,
        *,
        eventual: bool = False,
        pool: str | None = None,
        token: Token | None = None,
        unmet: bool = False,
    ) -> None:
        """Fix `role`, None leaves it to the rules; `token` must be seen by the reads inside.

        `eventual`: what the client wrote in requests before need not be seen; `pool`: whose replicas serve; `unmet`:
        what must be seen nobody knows, only the primary is sure to have it.
        """
        self.role = role
        self.eventual = eventual
        self.pool = pool
        self.token = token
        self.unmet = unmet

    def __enter__(self) -> None:
        current_place.set(self.opened())

    def opened(self) -> Place:
        """Return the place inside this block, as seen from here."""
        if self.pool is not None and not configuration.has_pool(self.pool):
            raise ValueError(f"use_replica(pool={self.pool!r}): no replica has this POOL in GMF_ROUTER.")
        here = current_place.get()
        unit = None
        if open_unit() is None:
            unit = (here.blocks[-1].unit if here.blocks else None) or UnitOfWork()
        opened = OpenBlock(
            self,
            role=self.role,
            eventual=self.eventual,
            pool=self.pool,
            token=self.token,
            unmet=self.unmet,
            unit=unit,
        )
        return place(here.unit, (*here.blocks, opened))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A generator that is suspended inside a block leaves it open in its caller: blocks may then end out of order,
        # so this one is searched from the end and not simply popped.
        here = current_place.get()
        opened = here.blocks
        for index in range(len(opened) - 1, -1, -1):
            if opened[index].of is self:
                # The event loop closes a generator that was broken off in a task of its own, whose context is a copy:
                # the caller's still holds the block.
                opened[index].ended = kind is GeneratorExit
                current_place.set(place(here.unit, opened[:index] + opened[index + 1 :]))
                return

    def __call__(self, view: View) -> View:
        """Decorate a function, generator or coroutine function, or all that a class-based view answers."""
        if inspect.isclass(view):
            self._decorate_class(view)
            return view
        decorate: Callable[[Function], object] = self._function
        if iscoroutinefunction(view):
            decorate = self._coroutine_function
        elif inspect.isasyncgenfunction(view):
            decorate = self._async_generator_function
        elif inspect.isgeneratorfunction(view):
            decorate = self._generator_function
        return wraps(view)(decorate(view))  # type: ignore[arg-type,return-value]

    def _decorate_class(self, view: Any) -> None:
        """Open this block around what `view` and those that inherit from it answer; REST framework authenticates there.

        A class that inherits may have a block of its own, which then counts in place of this one.
        """
        if not callable(getattr(view, "dispatch", None)):
            raise TypeError(
                f"use_primary() and use_replica() decorate functions and views: {view!r} has no dispatch()."
            )
        # Of two that decorate one class the innermost wins, as of any two.
        if "gmf_block" in vars(view):
            return
        view.gmf_block = self
        dispatch = view.dispatch

        @wraps(dispatch)
        def inner(this: Any, *args: object, **kwargs: object) -> object:
            return this.gmf_block.call(dispatch, this, *args, **kwargs)

        view.dispatch = inner

    def call(self, view: Function, *args: object, **kwargs: object) -> object:
        """Return what `view` answers inside this block; its body, if it is made later, is made there too."""
        with self:
            result = view(*args, **kwargs)
        # The dispatch() of an async class-based view is no coroutine function, and yet answers a coroutine.
        return self._awaited(result) if inspect.iscoroutine(result) else keep_for_response(result, self.opened)

    def _function(self, view: Function) -> Function:
        def inner(*args: object, **kwargs: object) -> object:
            return self.call(view, *args, **kwargs)

        return inner

    def _coroutine_function(self, view: Function) -> Function:
        async def inner(*args: object, **kwargs: object) -> object:
            return await self._awaited(view(*args, **kwargs))

        return markcoroutinefunction(inner)

    async def _awaited(self, result: Awaitable[object]) -> object:
        with self:
            response = await result
        return keep_for_response(response, self.opened)

    def _generator_function(self, view: Function) -> Function:
        def inner(*args: object, **kwargs: object) -> Generator[object, object, object]:
            # Not `yield from`: the block would stay open in the caller between two steps.
            inside, generator = Standpoint(self.opened), view(*args, **kwargs)
            step = partial(next, generator)
            while True:
                try:
                    with inside:
                        made = step()
                except StopIteration as end:
                    return end.value
                try:
                    step = partial(generator.send, (yield made))
                except GeneratorExit:
                    with inside:
                        generator.close()
                    raise
                except BaseException as error:  # noqa: BLE001  it is the generator's to handle
                    step = partial(generator.throw, error)

        return inner

    def _async_generator_function(self, view: Function) -> Function:
        async def inner(*args: object, **kwargs: object) -> AsyncGenerator[object, object]:
            inside, generator = Standpoint(self.opened), view(*args, **kwargs)
            step = generator.__anext__
            while True:
                try:
                    with inside:
                        made = await step()
                except StopAsyncIteration:
                    return
                try:
                    step = partial(generator.asend, (yield made))
                except GeneratorExit:
                    with inside:
                        await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  it is the generator's to handle
                    step = partial(generator.athrow, error)

        return inner


@overload
def use_primary() -> Block: ...
@overload
def use_primary(view: View) -> View: ...
def use_primary(view: Callable[..., object] | None = None) -> object:
    """Read from the primary inside this block, function or view: `with use_primary():` or `@use_primary()`.

    The innermost block wins. A decorated view keeps its choice while its lazy response renders or streams.
    """
    block = Block(Role.PRIMARY)
    return block if view is None else block(view)


@overload
def use_replica(*, level: str = "session", pool: str | None = None) -> Block: ...
@overload
def use_replica(view: View) -> View: ...
def use_replica(
    view: Callable[..., object] | None = None, *, level: str = "session", pool: str | None = None
) -> object:
    """Read from a replica inside this block, function or view, also after writes; see `use_primary`.

    `level`: "session", the replica has what the client wrote in earlier requests, or "eventual", any replica; `pool`:
    the replicas with this POOL, by default those of the request. Raise ValueError for another level, and when it is
    entered for a pool that no replica has, where others have one.
    """
    if level not in LEVELS:
        raise ValueError(f"use_replica(level={level!r}): choose one of {', '.join(map(repr, LEVELS))}.")
    block = Block(Role.REPLICA, eventual=level == "eventual", pool=pool)
    return block if view is None else block(view)
