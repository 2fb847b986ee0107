"""What becomes of a session that cannot be saved, renewed or ended, in maintenance or while no primary answers?

To a request that only reads the page is worth more than what it changes in its session.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from importlib import import_module
from types import CodeType
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends.base import UpdateError

from django_gmf_router import clusters
from django_gmf_router.exceptions import MaintenanceMode, PrimaryUnavailable
from django_gmf_router.unavailable import Repeated

SESSIONS = "sessions"
UNSAVED = Repeated({"event": "session_not_saved"})
GoOn = Callable[[Any, "str | None"], None]


def install() -> None:
    """Let the sessions of the site go on without a primary, where there are clusters.

    It is the class that is told, not the session of each request: any middleware may ask who is logged in.
    """
    if clusters.registry().clusters:
        make_tolerant(import_module(settings.SESSION_ENGINE).SessionStore)


@lru_cache(maxsize=8)
def make_tolerant(store: Any) -> None:
    """Let the sessions of the class `store` go on without a primary; once."""
    for names, go_on, may_go_on in (
        (("save", "asave"), _as_it_was, _is_no_new_session),
        (("flush", "aflush"), _as_ended, _looks_up_the_user),
        (("cycle_key", "acycle_key"), _as_it_was, _looks_up_the_user),
    ):
        for name in names:
            setattr(store, name, _tolerant(getattr(store, name), go_on, may_go_on))


def _as_it_was(session: Any, key: str | None) -> None:
    session._session_key = session.session_key if key is None else key


def _as_ended(session: Any, _key: str | None) -> None:
    # flush() has emptied it before.
    session._session_key = None


def _is_no_new_session(_caller: CodeType, must_create: bool = False) -> bool:
    return not must_create


def _looks_up_the_user(caller: CodeType) -> bool:
    """Return whether `caller` is Django's look at who is logged in.

    It ends a session whose password was changed, and renews one after SECRET_KEY was. Who logs in or out must not be
    told that it is done.
    """
    return caller in {auth.get_user.__code__, auth.aget_user.__code__}


def _tolerant(method: Callable[..., Any], go_on: GoOn, may_go_on: Callable[..., bool]) -> Callable[..., Any]:
    """Return `method` of a session such that it goes on as `go_on` makes it, where that may be."""

    @wraps(method)
    def tolerant(session: Any, *args: Any, **kwargs: Any) -> None:
        key = session.session_key
        try:
            method(session, *args, **kwargs)
        except (PrimaryUnavailable, UpdateError) as error:
            _tolerate(session, error, is_tolerable=may_go_on(sys._getframe(1).f_code, *args, **kwargs))
            go_on(session, key)

    @wraps(method)
    async def atolerant(session: Any, *args: Any, **kwargs: Any) -> None:
        key = session.session_key
        try:
            await method(session, *args, **kwargs)
        except (PrimaryUnavailable, UpdateError) as error:
            _tolerate(session, error, is_tolerable=may_go_on(sys._getframe(1).f_code, *args, **kwargs))
            go_on(session, key)

    return atolerant if iscoroutinefunction(method) else tolerant


def _tolerate(session: Any, error: Exception, *, is_tolerable: bool) -> None:
    """Log that `session` stays as it was; raise what is behind `error` where that is not tolerable, or no read."""
    # Django's store turns an error of the database into its UpdateError, which its middleware answers with 400.
    failure = error if isinstance(error, PrimaryUnavailable) else error.__context__
    if not isinstance(failure, PrimaryUnavailable):
        raise error
    model = getattr(session, "model", None)
    cluster = clusters.of_app(SESSIONS if model is None else model._meta.app_label)
    if cluster is None or not is_tolerable:
        raise failure
    # In maintenance the primary may serve the reads all the same, as SHARE or a pattern says.
    in_maintenance = isinstance(failure, MaintenanceMode)
    if not (cluster.writes.only_wants_to_read() if in_maintenance else cluster.reads.only_reads()):
        raise failure
    UNSAVED.warn(f"A session was not saved: {failure}")
