"""Does a driver that waits for one server hold up the whole process?

Under gevent and eventlet the threads of a process are green: one runs at a time, and has to give way where it waits. A
driver that does not stops the health monitor with everything else while a server hangs.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

_INSTEAD = "Serve the site with threads, as gunicorn's gthread does, or with gevent and psycopg 3."
_TOO_LATE = (
    "gevent patched this process after psycopg was imported, which blocks it therefore. Patch it first: with gunicorn "
    "leave out --preload, or let gunicorn.conf.py begin with gevent.monkey.patch_all()."
)


def made_by() -> str | None:
    """Return what makes the threads of this process green, "gevent" or "eventlet"; None where they are real."""
    # Whoever patched has imported these; nothing is imported here.
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None and gevent.is_module_patched("select"):
        return "gevent"
    return "eventlet" if eventlet is not None and eventlet.is_monkey_patched("select") else None


def refuse_blocking(alias: str) -> None:
    """Raise ImproperlyConfigured, with the remedy, where the driver of `alias` blocks the green threads.

    psycopg 3 gives way to gevent if gevent patched first, and to nothing else (its documentation, "Concurrent
    operations"). psycopg2 does with psycogreen, but then without a connect time-out.
    """
    green = made_by()
    if green is None:
        return
    wrapper: Any = connections.create_connection(alias)
    driver = wrapper.Database.__name__
    if driver not in {"psycopg", "psycopg2"}:
        return
    if green == "eventlet":
        raise ImproperlyConfigured(f"eventlet is not supported: {driver} blocks it. {_INSTEAD}")
    if driver == "psycopg2":
        raise ImproperlyConfigured(f"psycopg2 blocks gevent while a server hangs, with psycogreen too. {_INSTEAD}")
    waiting = sys.modules["psycopg.waiting"]
    if waiting.wait is getattr(waiting, "wait_c", None):
        raise ImproperlyConfigured(_TOO_LATE)
