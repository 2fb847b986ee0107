"""How is the health monitor of a configured cluster made?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections

from django_gmf_router.replicas.addresses import AddressBook, is_expandable
from django_gmf_router.replicas.crew import AnyProbe
from django_gmf_router.replicas.monitor import Monitor
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.settings.values import ClusterConfig

MakeProbe = Callable[..., AnyProbe]


def address_book(config: ClusterConfig) -> AddressBook:
    """Return the address book of the replicas that are BALANCED and whose addresses can be looked up."""
    balanced = config.balanced_aliases
    settings = {alias: connections.settings[alias] for alias in balanced if connections[alias].vendor == "postgresql"}
    return AddressBook({alias: entry for alias, entry in settings.items() if is_expandable(entry)})


def monitor_of(
    config: ClusterConfig,
    addresses: AddressBook,
    *,
    interval_seconds: float | None = None,
    probe: MakeProbe = Probe,
    **kwargs: Any,
) -> Monitor:
    """Return a monitor of the cluster's nodes that was not started; `kwargs` are the monitor's."""

    def make_probe(node: str, timeout_seconds: float) -> AnyProbe:
        return probe(addresses.alias_of(node), timeout_seconds, addresses.params(node))

    return Monitor(
        primary=config.primary,
        replicas=config.replica_aliases,
        balanced=config.balanced_aliases,
        interval_seconds=interval_seconds or config.health.interval,
        timeout_seconds=config.health.timeout,
        max_lag_seconds=config.health.max_lag,
        probe_factory=make_probe,
        look_up={alias: partial(addresses.look_up, alias) for alias in config.replica_aliases if alias in addresses},
        **kwargs,
    )
