"""How does an operator steer a cluster? Changes of its control state, in its own database."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import connections, transaction

from django_gmf_router.exceptions import ControlUnavailable
from django_gmf_router.models import Control
from django_gmf_router.postgres.dialects import CONTROL
from django_gmf_router.settings.values import ClusterConfig


def current(config: ClusterConfig) -> Control | None:
    """Return the newest change, from the primary; None if there is none. Raise ControlUnavailable without a table."""
    _expect_table(config.primary)
    return Control.objects.using(config.primary).first()


def set_share(config: ClusterConfig, share: float | None, *, by: str, reason: str = "") -> Control:
    """Let replicas serve this part of the clients, 0 to 1, or what SHARE says for None; return the change.

    Raise ControlUnavailable where the table is missing, and what the database raises.
    """

    def change(state: dict[str, Any]) -> None:
        shares = state.setdefault("share", {})
        shares.pop(config.site, None)
        if share is not None:
            shares[config.site] = share

    return _change(config, change, by=by, reason=reason)


def _change(config: ClusterConfig, change: Callable[[dict[str, Any]], None], *, by: str, reason: str) -> Control:
    _expect_table(config.primary)
    with transaction.atomic(using=config.primary):
        with connections[config.primary].cursor() as cursor:
            # Two that change at once must not each take away what the other one said.
            cursor.execute(f"LOCK TABLE {CONTROL} IN SHARE ROW EXCLUSIVE MODE")
        newest = Control.objects.using(config.primary).first()
        state = json.loads(newest.state) if newest else {}
        change(state)
        return Control.objects.using(config.primary).create(state=json.dumps(state), changed_by=by, reason=reason)


def _expect_table(primary: str) -> None:
    connection = connections[primary]
    if connection.vendor != "postgresql":
        raise ControlUnavailable(f"The database {primary!r} is no PostgreSQL: only that can be steered.")
    if CONTROL not in connection.introspection.table_names():
        raise ControlUnavailable(f"The database {primary!r} has no table {CONTROL}: run `manage.py migrate` first.")
