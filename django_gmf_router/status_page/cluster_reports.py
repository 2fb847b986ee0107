"""What does this process know of each cluster?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from django.db import DatabaseError
from django.utils.translation import gettext as _

from django_gmf_router.clusters import Cluster
from django_gmf_router.models import Control
from django_gmf_router.replicas.health import State
from django_gmf_router.replicas.status import NodeReport, reports
from django_gmf_router.status_page import tables
from django_gmf_router.status_page.tables import UNKNOWN, Table


@dataclass(frozen=True, kw_only=True)
class ClusterReport:
    """A cluster as this process sees it now."""

    cluster: Cluster
    nodes: tuple[NodeReport, ...]
    latencies: tuple[float | None, ...]
    """Of each the seconds that a statement of this process typically takes there; None: unknown."""
    change: Control | None
    """What an operator said last, for those who may see that."""

    @property
    def name(self) -> str:
        """The alias of its primary."""
        return self.cluster.config.primary

    @property
    def replicas(self) -> tuple[str, ...]:
        """The aliases that can be drained."""
        return self.cluster.config.replica_aliases

    @cached_property
    def troubles(self) -> tuple[str, ...]:
        """The nodes that are not as they should be, in words."""
        if self.cluster.monitor.is_outdated():
            return (_("Nothing was heard of the nodes for too long: the primary is read"),)
        return tuple(
            _("%(alias)s is %(state)s") % {"alias": node.alias, "state": tables.STATES[node.state]}
            for node in self.nodes
            if node.state != State.UP
        )

    @property
    def summary(self) -> str:
        """What a look at the nodes is for."""
        return f"{', '.join(self.troubles)}." if self.troubles else _("All nodes are up.")

    @property
    def mark(self) -> str:
        """What the looks of the summary depend on."""
        return "bad" if self.troubles else ""

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """What holds of the whole cluster, in sentences."""
        config, steering = self.cluster.config, self.cluster.monitor.steering
        serve = (
            _("Replicas serve %(share)s of the clients, by SHARE.")
            if steering.share is None
            else _("Replicas serve %(share)s of the clients, by an operator.")
        )
        found = [serve % {"share": f"{self.cluster.pool.share():.0%}"}]
        if self.is_in_maintenance:
            found.append(_("Maintenance is on: writes are refused."))
        found += [_("%(alias)s is drained.") % {"alias": node.alias} for node in self.nodes if node.drained]
        if config.dry_run:
            found.append(_("DRY_RUN: everything is decided, and the primary is read all the same."))
        if self.change:
            found.append(_told(self.change, is_on_its_way=self.change.version > steering.version))
        return tuple(found)

    @property
    def is_in_maintenance(self) -> bool:
        """Whether writes are refused."""
        return self.cluster.monitor.steering.maintenance

    @cached_property
    def tables(self) -> dict[str, Table]:
        """The tables by their names."""
        return {
            table.name: table
            for table in (
                tables.of_nodes(zip(self.nodes, self.latencies, strict=True)),
                tables.of_decisions(self._decisions),
                tables.of_rules(self._hits),
            )
        }

    def as_dict(self) -> dict[str, object]:
        """Return it for JSON: the figures, and under `shown` the words of the page."""
        config, change = self.cluster.config, self.change
        return {
            "cluster": self.name,
            "share": self.cluster.pool.share(),
            "share_setting": config.share,
            "maintenance": self.is_in_maintenance,
            "dry_run": config.dry_run,
            "nodes": [
                asdict(node) | {"latency": latency, "drained": node.drained}
                for node, latency in zip(self.nodes, self.latencies, strict=True)
            ],
            "decisions": [
                {"role": role, "reason": reason, "count": count} for (role, reason), count in self._decisions.items()
            ],
            "rules": [
                {"key": key, "pattern": pattern, "requests": count} for (key, pattern), count in self._hits.items()
            ],
            "change": change
            and {
                "version": change.version,
                "by": change.changed_by,
                "at": change.changed_at.isoformat(),
                "reason": change.reason,
            },
            "shown": {
                "summary": self.summary,
                "mark": self.mark,
                "facts": list(self.facts),
                "tables": {name: [each.as_dict() for each in table.rows] for name, table in self.tables.items()},
            },
        }

    @cached_property
    def _decisions(self) -> Mapping[tuple[str, str], int]:
        """By role and reason, of this process."""
        counts = Counter[tuple[str, str]]()
        for decision, times in self.cluster.policy.decisions.counts().items():
            counts[decision.role.value, decision.reason] += times
        return counts

    @cached_property
    def _hits(self) -> dict[tuple[str, str], int]:
        """By key of DB_CHOOSER and pattern, those that decided none too."""
        config, hits = self.cluster.config, self.cluster.policy.chooser.hits
        patterns = [*(("master", each) for each in config.master), *(("slave", each) for each in config.slave)]
        return {pattern: hits[pattern] for pattern in patterns}


def cluster_report(cluster: Cluster, *, names_hosts: bool, tells_changes: bool) -> ClusterReport:
    """Return what is known of a cluster; its nodes are watched from now on.

    names_hosts: whether errors may be told, which name the servers; tells_changes: whether to tell who steered and why.
    """
    _watch(cluster)
    nodes = tuple(_heard(cluster, node) for node in reports(cluster.config, cluster.monitor))
    return ClusterReport(
        cluster=cluster,
        nodes=nodes if names_hosts else tuple(_without_hosts(nodes)),
        latencies=tuple(cluster.monitor.health(node.alias).latency for node in nodes),
        change=_last_change(cluster) if tells_changes else None,
    )


def _watch(cluster: Cluster) -> None:
    """Wait, in a process that has only begun, until each node was asked once or TIMEOUT is over."""
    config = cluster.config
    if cluster.pool.is_mirrored():
        return  # Nothing is opened in a test run.
    cluster.monitor.ensure()
    cluster.monitor.wait(1, config.health.timeout)


def _heard(cluster: Cluster, node: NodeReport) -> NodeReport:
    """Return it as it is, or as unknown: to requests a node counts as up until it was asked."""
    health = cluster.monitor.health(node.alias)
    is_unheard = health.sampled_at is None and not health.is_down
    return replace(node, state=UNKNOWN) if is_unheard or cluster.monitor.is_outdated() else node


def _without_hosts(nodes: Iterable[NodeReport]) -> Iterator[NodeReport]:
    """Yield them without their errors; of an alias that is several servers each has its address for a name."""
    seen: Counter[str] = Counter()
    for node in nodes:
        alias, at, _ = node.alias.rpartition("@")
        seen[alias] += 1
        yield replace(node, alias=f"{alias}@{seen[alias]}" if at else node.alias, error=None)


def _last_change(cluster: Cluster) -> Control | None:
    """Return it as a page reads, so that it is there while the primary is away."""
    if not cluster.monitor.steering.version:
        return None  # Nobody has said anything, or there is no table.
    alias = cluster.policy.read(Control, None) or cluster.config.primary
    try:
        return Control.objects.using(alias).first()
    except DatabaseError:
        return None


def _told(change: Control, *, is_on_its_way: bool) -> str:
    told = _("Last change %(number)s, %(moment)s, by %(name)s") % {
        "number": change.version,
        "moment": tables.moment(change.changed_at),
        "name": change.changed_by,
    }
    reason = f": {change.reason}" if change.reason else "."
    ending = _("It is on its way: every process follows within two INTERVALs.") if is_on_its_way else ""
    return f"{told}{reason} {ending}".rstrip()
