"""How are the nodes of the clusters, for an operator?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from django.db import connections

from django_gmf_router.postgres.positions import format_position
from django_gmf_router.replicas.addresses import AddressBook, address_book
from django_gmf_router.replicas.health import NodeHealth, State, serving
from django_gmf_router.replicas.latency import READS_A_TRIAL
from django_gmf_router.replicas.monitor import MakeProbe, Monitor
from django_gmf_router.replicas.probes import Probe
from django_gmf_router.settings.values import ClusterConfig, ReplicaConfig, Role

ALL_UP, DEGRADED, NO_PRIMARY = 0, 1, 2
ROUNDS = 6  # where the primary is, whether the replicas come there, since when they do not, and which are slow
INTERVAL_SECONDS = 0.2
GRACE_SECONDS = 4.0  # of what is slow


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """One node, as `gmf_status` shows it."""

    cluster: str
    alias: str
    role: Role
    state: str
    lag: float | None = None
    """Seconds; None: unknown."""
    position: str | None = None
    """As PostgreSQL prints it."""
    dialect: str | None = None
    """What kind of server it is; None: no PostgreSQL, or it does not answer."""
    refused: tuple[str, ...] = ()
    """The functions that it refuses."""
    tells_position: bool = True
    """Whether it can be asked for what a client wrote; else the time alone decides."""
    since: str | None = None
    """ISO 8601, in UTC."""
    pool: str | None = None
    """The one whose reads a replica serves; None: the default pool."""
    tier: int | None = None
    """A replica's."""
    share: float | None = None
    """The part of its pool's reads that goes to a node now, 0 to 1; None for a primary that takes none."""
    error: str | None = None
    drained: bool = False
    """Whether operators took it out of rotation; its state is told all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """A cluster that is watched for a moment."""

    config: ClusterConfig
    monitor: Monitor
    addresses: AddressBook


def statuses(configs: Iterable[ClusterConfig], probe: MakeProbe = Probe) -> list[NodeReport]:
    """Watch the nodes of the clusters at the same time; return how they are."""
    with watched(configs, probe) as watches:
        return [status for watch in watches for status in reports(watch.config, watch.monitor)]


@contextmanager
def watched(
    configs: Iterable[ClusterConfig], probe: MakeProbe = Probe, rounds: int = ROUNDS
) -> Iterator[tuple[Watch, ...]]:
    """Watch the nodes of the clusters at the same time until the block ends; it begins when so much is known of them.

    It takes TIMEOUT and four seconds at most, where an alias has a list of hosts TIMEOUT for each of them.
    """
    with ExitStack() as stack:
        watches = tuple(_watch(config, probe) for config in configs)
        # All at once: a node that hangs takes its time-out, whatever the others do.
        for watch in watches:
            stack.callback(watch.monitor.stop)
            watch.monitor.ensure()
        for watch in watches:
            watch.monitor.wait(rounds, watch.config.health.timeout * _most_hosts(watch.config) + GRACE_SECONDS)
        yield watches


def exit_code(nodes: list[NodeReport]) -> int:
    """Return 0 if all nodes are up, 1 if one is not, 2 if a primary is missing."""
    not_up = [node for node in nodes if node.state != State.UP]
    if any(node.role == Role.PRIMARY for node in not_up):
        return NO_PRIMARY
    return DEGRADED if not_up else ALL_UP


def _most_hosts(config: ClusterConfig) -> int:
    return max(1 + str(connections.settings[alias].get("HOST")).count(",") for alias in config.aliases)


def _watch(config: ClusterConfig, probe: MakeProbe) -> Watch:
    interval = min(INTERVAL_SECONDS, config.health.interval)
    often = replace(config, health=replace(config.health, interval=interval))
    addresses = address_book(config)
    # The site's processes tell of changes; what is new to this one is no change.
    return Watch(config=config, monitor=Monitor(often, addresses, probe=probe, announces=False), addresses=addresses)


def reports(config: ClusterConfig, monitor: Monitor) -> Iterator[NodeReport]:
    """Yield how the nodes of a cluster are, by what a monitor knows of them now."""
    shares = _shares(config, monitor)
    yield _status(config, monitor.health(config.primary), shares.get(config.primary), drained=False)
    for replica in config.replicas:
        # An alias that is several servers shares its part among those that are as good as it is.
        nodes = [monitor.health(node) for node in monitor.members(replica.alias) or (replica.alias,)]
        best = [node.alias for node in nodes if node.state == monitor.health(replica.alias).state]
        part = shares.get(replica.alias, 0.0) / len(best)
        drained = replica.alias in monitor.drained
        yield from (
            _status(config, node, part if node.alias in best else 0.0, replica, drained=drained) for node in nodes
        )


def _shares(config: ClusterConfig, monitor: Monitor) -> dict[str, float]:
    """Return by alias the part of its pool's reads that goes there now; nothing of those that get none."""
    shares = {}
    for pool in {replica.pool for replica in config.replicas}:
        own = [tier for tier in config.tiers(pool) if tier[0].pool == pool]
        # The first tier that can serves alone.
        for candidates, slow in serving(own, monitor.snapshot, monitor.steering.drained)[:1]:
            weights = dict(candidates)
            if pool is None and config.primary_weight and monitor.health(config.primary).state == State.UP:
                weights[config.primary] = config.primary_weight
            shares.update({alias: weight / sum(weights.values()) for alias, weight in weights.items()})
            shares.update(dict.fromkeys(slow, 1 / (READS_A_TRIAL * max(1, len(slow)))))
    return shares


def _status(
    config: ClusterConfig,
    node: NodeHealth,
    share: float | None,
    replica: ReplicaConfig | None = None,
    *,
    drained: bool,
) -> NodeReport:
    return NodeReport(
        cluster=config.primary,
        pool=replica.pool if replica else None,
        tier=replica.tier if replica else None,
        alias=node.alias,
        role=node.role,
        state=node.state,
        lag=None if node.lag is None else round(node.lag, 3),
        position=None if node.position is None else format_position(node.position),
        dialect=None if node.dialect is None else node.dialect.name,
        refused=() if node.dialect is None else node.dialect.refused,
        tells_position=node.tells_position,
        since=datetime.fromtimestamp(_since(node), tz=timezone.utc).isoformat(timespec="seconds"),
        share=share,
        error=node.error,
        drained=drained,
    )


def _since(node: NodeHealth) -> float:
    """Return when it got into its state, as far as a process that has just begun can know."""
    if node.state == State.UP and node.started is not None:
        return node.started
    if node.state == State.LAGGING and node.lag is not None:
        return node.since - node.lag
    return node.since
