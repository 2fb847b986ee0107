"""Which servers stand behind an alias whose host is one name with several addresses, or a list of names?"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from django.db import connections

from django_gmf_router.replicas.health import NodeHealth
from django_gmf_router.replicas.readings import Reading
from django_gmf_router.settings.values import ClusterConfig

logger = logging.getLogger("django_gmf_router")

DEFAULT_PORT = "5432"
RESOLVE_SECONDS = 5.0
"""How old an answer of the name server may be; a process asks no more often."""
NOT_ONE_OF_SEVERAL = {"service", "hostaddr"}
Resolve = Callable[[str, str], Iterable[str]]


def is_expandable(settings: Mapping[str, Any]) -> bool:
    """Return whether the addresses behind an entry of DATABASES can be looked up: it names hosts, no Unix socket."""
    hosts = str(settings.get("HOST") or "").split(",")
    return all(host and host[0] not in "/@" for host in hosts) and not NOT_ONE_OF_SEVERAL & set(settings["OPTIONS"])


def addresses(host: str, port: str) -> Iterable[str]:
    """Return the IP addresses of a host; raises OSError."""
    # A name may have an address twice, by the hosts file and by DNS. The order is the resolver's.
    found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    return dict.fromkeys(str(address[0]) for *_, address in found)


def address_book(config: ClusterConfig) -> AddressBook:
    """Return the address book of the replicas that are BALANCED and whose addresses can be looked up."""
    settings = {
        alias: connections.settings[alias]
        for alias in config.balanced_aliases
        if connections[alias].vendor == "postgresql"
    }
    return AddressBook({alias: entry for alias, entry in settings.items() if is_expandable(entry)})


class AddressBook:
    """The addresses of the aliases that are several servers; those that were good last hold while a name fails.

    Each address is a node, named `alias@address:port`.
    """

    def __init__(
        self,
        settings: Mapping[str, Mapping[str, Any]],
        resolve: Resolve = addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the entries of DATABASES of the aliases, and what answers the addresses of a host."""
        self._settings = settings
        self._resolve = resolve
        self._clock = clock
        self._nodes: dict[str, tuple[str, ...]] = {}
        self._asked_at: dict[str, float] = {}
        self._params: dict[str, dict[str, str]] = {}
        self._failing: set[str] = set()

    def __contains__(self, alias: object) -> bool:
        return alias in self._settings

    def alias_of(self, node: str) -> str:
        """Return the alias that `node` is a server of; itself where an alias is one server."""
        alias = node.rpartition("@")[0]
        return alias if alias in self._settings else node

    def nodes(self, alias: str) -> tuple[str, ...]:
        """Return the nodes of `alias`; looks its name up if that was never done, which may block."""
        if alias not in self._settings:
            return (alias,)
        return self._nodes.get(alias) or self.look_up(alias) or (alias,)

    def params(self, node: str) -> dict[str, str]:
        """Return what libpq needs to connect to this node and no other of its alias."""
        return self._params.get(node, {})

    def look_up(self, alias: str) -> tuple[str, ...]:
        """Return the nodes of `alias` by its name now, those of last time while it does not resolve; may block."""
        known, now = self._nodes.get(alias, ()), self._clock()
        if known and now - self._asked_at[alias] < RESOLVE_SECONDS:
            return known
        try:
            found = self._found(alias)
        except OSError as error:
            self._fails(alias, error)
            found = {}
        else:
            self._failing.discard(alias)
        if not found:
            return known
        # Only an answer is kept for RESOLVE_SECONDS: a name that failed is asked again in the next round.
        self._asked_at[alias] = now
        # A new dict: threads that connect read it meanwhile. What left the name stays, for who is connected there.
        self._params = {**self._params, **found}
        self._nodes[alias] = tuple(sorted(found))
        if known and known != self._nodes[alias]:
            text = "The addresses of %s have changed: %s."
            logger.info(text, alias, ", ".join(sorted(found)), extra={"event": "addresses", "alias": alias})
        return self._nodes[alias]

    def _found(self, alias: str) -> dict[str, dict[str, str]]:
        settings = self._settings[alias]
        hosts = str(settings["HOST"]).split(",")
        ports = str(settings.get("PORT") or DEFAULT_PORT).split(",")
        if len(ports) == 1:
            ports *= len(hosts)
        return {
            f"{alias}@{f'[{address}]' if ':' in address else address}:{port}": {
                "host": host,
                "hostaddr": address,
                "port": port,
            }
            for host, port in zip(hosts, ports, strict=False)
            for address in self._resolve(host, port)
        }

    def _fails(self, alias: str, error: OSError) -> None:
        """Log it once: it is asked again and again."""
        if alias in self._failing:
            return
        self._failing.add(alias)
        host = self._settings[alias]["HOST"]
        text = "The host %s of %s does not resolve, the addresses known so far are kept: %s"
        logger.warning(text, host, alias, error, extra={"event": "addresses", "alias": alias})


class Membership:
    """The nodes of the aliases that are several servers, and how often connections had to be spread anew."""

    def __init__(self, addresses: AddressBook, aliases: Iterable[str]) -> None:
        """Take the replicas' aliases; nothing is looked up yet."""
        self._nodes: dict[str, tuple[str, ...]] = {alias: () for alias in aliases if alias in addresses}
        self._changes = dict.fromkeys(self._nodes, 0)

    def __contains__(self, alias: object) -> bool:
        return alias in self._nodes

    def nodes(self, alias: str) -> tuple[str, ...]:
        """Return the nodes of an alias as they were looked up last; itself where it is one server."""
        return self._nodes.get(alias, (alias,))

    def placed(self, health: NodeHealth) -> NodeHealth:
        """Return the health of a node, balanced where it is the only address of its alias: a balancer stands there."""
        for nodes in self._nodes.values():
            if health.alias in nodes:
                return replace(health, balanced=len(nodes) == 1)
        return health

    def changes(self, alias: str) -> int:
        """Return a number that is raised when the nodes of `alias` change or one of them is back."""
        return self._changes[alias]

    def replace(self, alias: str, nodes: tuple[str, ...]) -> bool:
        """Take what was looked up; return whether it is something else. Nothing found is no answer."""
        if not nodes or nodes == self._nodes[alias]:
            return False
        self._nodes[alias] = nodes
        self._changes[alias] += 1
        return True

    def note_return(self, node: str) -> None:
        """Take it that `node` is back, restarted or has another role."""
        for alias, nodes in self._nodes.items():
            # While it was away its connections went to the others.
            self._changes[alias] += node in nodes


class Lookup:
    """For the health monitor's threads: what a probe is to a node, this is to the name of an alias."""

    connecting_seconds = 0.0
    """As of a probe that connects: whatever becomes of a name, it says nothing of the sessions that there are."""

    def __init__(self, addresses: AddressBook, alias: str) -> None:
        """Take whose name is looked up, and where."""
        self._addresses = addresses
        self._alias = alias

    def read(self) -> Reading:
        """Return the nodes; may block."""
        return Reading(up=True, members=self._addresses.look_up(self._alias))

    def send(self) -> bool:
        """Return False: a resolver blocks."""
        return False

    def receive(self) -> None:
        """Return None: nothing was sent."""

    def abort(self) -> None:
        """Wait for the resolver's own time-out: it cannot be interrupted."""

    def is_connected(self) -> bool:
        """Return False: a name holds no connection."""
        return False

    def close(self) -> None:
        """Hold nothing."""
