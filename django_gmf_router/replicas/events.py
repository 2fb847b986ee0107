"""What do the logs and signals say of nodes? Changes of state, each once."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from django_gmf_router import signals
from django_gmf_router.replicas.health import NodeHealth, State
from django_gmf_router.replicas.readings import Steering

LOGGER = logging.getLogger("django_gmf_router")
NODE_DOWN, NODE_UP, NODE_LAGGING, NODE_SLOW = "node_down", "node_up", "node_lagging", "node_slow"
MONITOR_ERROR, MONITOR_LATE = "monitor_error", "monitor_late"
FACTS_REFUSED, BY_TIME = "facts_refused", "by_time"
NO_REPLICA, STEERED = "no_replica", "steered"


def announce(cluster: str, before: NodeHealth, after: NodeHealth, *, max_lag_seconds: float) -> None:
    """Log and signal a change of state."""
    if before.state == after.state:
        return
    _log(cluster, before, after, max_lag_seconds)
    if before.is_down or after.is_down:
        signal = signals.node_down if after.is_down else signals.node_up
        signal.send_robust(sender=after.alias, cluster=cluster, health=after)


class Surviving:
    """A block whose exceptions are logged and end it, not its thread."""

    def __init__(self, watched: str, doing: str) -> None:
        """Take an alias and what is done, for the log."""
        self._watched = watched
        self._doing = doing
        self.happened = False

    def __enter__(self) -> Surviving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self.happened = isinstance(error, Exception)
        if self.happened:
            monitor_error(self._watched, self._doing, error)
        return self.happened


def no_replica(cluster: str) -> None:
    """Log that the last replica that served is out."""
    extra = {"event": NO_REPLICA, "cluster": cluster}
    LOGGER.warning("No replica of %s may serve: the primary does.", cluster, extra=extra)


def steered(cluster: str, steering: Steering) -> None:
    """Log what operators say from now on."""
    extra = {"event": STEERED, "cluster": cluster, "version": steering.version}
    LOGGER.info("Operators say of %s, with change %d: %s.", cluster, steering.version, steering, extra=extra)


def monitor_late(cluster: str, seconds: float) -> None:
    """Log that the monitor's threads did not run."""
    text = (
        "The health monitor of %s has not run for more than %g s, so its primary was read. "
        "This process stood still, or its server runs no threads: uWSGI needs enable-threads."
    )
    LOGGER.warning(text, cluster, seconds, extra={"event": MONITOR_LATE, "cluster": cluster})


def monitor_error(watched: str, doing: str, error: BaseException | None) -> None:
    """Log what went wrong within the monitor itself."""
    extra = {"event": MONITOR_ERROR, "alias": watched}
    text = "The health monitor of %s failed while %s; it goes on."
    LOGGER.error(text, watched, doing, exc_info=error, extra=extra)


def facts_refused(cluster: str, health: NodeHealth, functions: Iterable[str]) -> None:
    """Log what a node that is up will not tell."""
    text = "The %s %s refuses %s: what they tell is unknown. EXECUTE on them may be granted, if it is your server."
    extra = {"event": FACTS_REFUSED, "cluster": cluster, "alias": health.alias}
    LOGGER.warning(text, health.role, health.alias, ", ".join(functions), extra=extra)


def by_time(cluster: str, health: NodeHealth) -> None:
    """Log that positions do not say what the clients of a cluster may read."""
    text = (
        "The %s %s tells no position that a token can use: clients that wrote in %s read from the primary "
        "for CONSISTENCY['WINDOW']."
    )
    extra = {"event": BY_TIME, "cluster": cluster, "alias": health.alias}
    LOGGER.warning(text, health.role, health.alias, cluster, extra=extra)


def _log(cluster: str, before: NodeHealth, after: NodeHealth, max_lag_seconds: float) -> None:
    node = f"The {after.role} {after.alias}"
    if after.state == State.DOWN:
        LOGGER.warning("%s is down: %s", node, after.error, extra=_extra(NODE_DOWN, cluster, after))
    elif after.state == State.LAGGING:
        text = "%s lags by %.1f s, more than %g s: it gets no reads."
        LOGGER.warning(text, node, after.lag, max_lag_seconds, extra=_extra(NODE_LAGGING, cluster, after))
    elif after.state == State.SLOW:
        text = "%s is slow: what it is asked typically takes %.3f s. Its reads go elsewhere."
        LOGGER.warning(text, node, after.latency, extra=_extra(NODE_SLOW, cluster, after))
    else:
        seconds = after.since - before.since
        LOGGER.info(
            "%s is up again; it was %s for %.1f s.", node, before.state, seconds, extra=_extra(NODE_UP, cluster, after)
        )


def _extra(event: str, cluster: str, health: NodeHealth) -> dict[str, Any]:
    return {
        "event": event,
        "cluster": cluster,
        "alias": health.alias,
        "lag": health.lag,
        "latency": health.latency,
        "error": health.error,
    }
