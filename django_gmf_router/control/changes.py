"""How does an operator steer a cluster? Changes of its control state, in its own database."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from django.db import connections, transaction
from django.utils.translation import gettext as _

from django_gmf_router.exceptions import ControlRefused, ControlUnavailable
from django_gmf_router.models import Control
from django_gmf_router.postgres.dialects import CONTROL
from django_gmf_router.replicas.readings import Steering, newer
from django_gmf_router.settings.values import ClusterConfig


def current(config: ClusterConfig) -> Control | None:
    """Return the newest change, from the primary; None if there is none. Raise ControlUnavailable without a table."""
    _expect_table(config.primary)
    return Control.objects.using(config.primary).first()


def steering_of(config: ClusterConfig, change: Control | None) -> Steering:
    """Return what holds for a site after `change`, None: nothing was ever said."""
    return newer(Steering(), f"{change.version} {change.state}" if change else None, config.site)


def set_share(config: ClusterConfig, share: float | None, *, by: str, reason: str = "") -> Control:
    """Let replicas serve this part of the clients, 0 to 1, or what SHARE says for None; return the change.

    Raise ControlUnavailable where the table is missing, and what the database raises; so do the others.
    """

    def change(state: dict[str, Any]) -> None:
        _set_for_site(state, "share", config.site, share)

    return _change(config, change, by=by, reason=reason)


def drain(config: ClusterConfig, alias: str, *, by: str, reason: str = "") -> Control:
    """Take a replica out of rotation, for all sites of the database; return the change.

    Raise ControlRefused for what is no replica.
    """
    if alias not in config.replica_aliases:
        raise ControlRefused(_no_replica(config, alias))

    def change(state: dict[str, Any]) -> None:
        state["drained"] = sorted({*state.get("drained", ()), alias})

    return _change(config, change, by=by, reason=reason)


def undrain(config: ClusterConfig, alias: str, *, by: str, reason: str = "") -> Control:
    """Put a replica back into rotation, for all sites of the database; return the change.

    Raise ControlRefused for what is no replica. One that was drained may have left the settings since.
    """

    def change(state: dict[str, Any]) -> None:
        drained = {*state.get("drained", ())}
        if alias not in {*config.replica_aliases, *drained}:
            raise ControlRefused(_no_replica(config, alias))
        state["drained"] = sorted(drained - {alias})

    return _change(config, change, by=by, reason=reason)


def set_maintenance(config: ClusterConfig, on: bool, *, by: str, reason: str = "") -> Control:
    """Let the requests of this site only read, or write again; return the change.

    Clients who would save something are told the reason.
    """

    def change(state: dict[str, Any]) -> None:
        _set_for_site(state, "maintenance", config.site, reason if on else None)

    return _change(config, change, by=by, reason=reason)


def who_serves(config: ClusterConfig, drained: Collection[str]) -> str:
    """Return what follows for reads where these aliases are drained, in one sentence."""
    left = [replica.alias for tier in config.tiers(None) for replica in tier if replica.alias not in drained]
    if left:
        return _("Reads go to %(names)s.") % {"names": ", ".join(left)}
    if config.spill is None:
        return _("No replica is left: the primary serves the reads.")
    told = _("No replica is left: the primary serves %(limit)s requests at once, the rest gets 503 (SPILL).")
    return told % {"limit": config.spill}


def _no_replica(config: ClusterConfig, alias: str) -> str:
    replicas = ", ".join(map(repr, config.replica_aliases)) or "it has none"
    if alias == config.primary:
        return f"{alias} is the primary, only replicas can be drained: {replicas}."
    return f"{alias} is no replica of {config.primary!r}: {replicas}."


def _set_for_site(state: dict[str, Any], key: str, site: str, value: float | str | None) -> None:
    """Keep `value` for a site, beside those of the others; for None what the settings say."""
    of_sites = state.setdefault(key, {})
    of_sites.pop(site, None)
    if value is not None:
        of_sites[site] = value


def _change(config: ClusterConfig, change: Callable[[dict[str, Any]], None], *, by: str, reason: str) -> Control:
    if not config.replicas:
        # A dry run before the first server is bought watches nothing, and would never hear of it.
        raise ControlRefused(f"{config.primary!r} has no replicas yet: nothing is steered there.")
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
