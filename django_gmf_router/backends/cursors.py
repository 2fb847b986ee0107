"""What happens when a statement fails since its node does?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.db import Error
from django.db.backends.utils import CursorWrapper

from django_gmf_router.routing.writes import MOVES


class MovingCursorMixin:
    """For Django's cursor wrappers: a read that fails with its node is executed again on another one, at most twice.

    Only `execute` itself is repeated, before any row was delivered; what may be repeated the connection decides.
    """

    db: Any
    cursor: Any

    gmf_name: str | None = None
    """The name of a server-side cursor."""

    def _execute(self, sql: Any, params: Any, *ignored: Any) -> Any:
        # The node that it moved to may die too, while it is executed again there.
        for _ in range(MOVES):
            try:
                return super()._execute(sql, params, *ignored)  # type: ignore[misc]
            except Error as error:
                if not self.db.reconnect_after(error, sql):
                    raise
            self.cursor = self.db.create_cursor(self.gmf_name)
        return super()._execute(sql, params, *ignored)  # type: ignore[misc]

    def _executemany(self, sql: Any, param_list: Any, *ignored: Any) -> Any:
        try:
            return super()._executemany(sql, param_list, *ignored)  # type: ignore[misc]
        except Error as error:
            self.db.explain_failure(error)
            raise


@lru_cache(maxsize=8)
def moving(wrapper: type[Any]) -> Any:
    """Return the subclass of a cursor wrapper whose reads move."""
    return type(f"Moving{wrapper.__name__}", (MovingCursorMixin, wrapper), {})


MovingCursor = moving(CursorWrapper)
