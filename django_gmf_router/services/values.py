"""What is there to know of a cluster for a service that is not Django?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LOAD_BALANCE_SINCE = 16
"""The major version of libpq that knows `load_balance_hosts` (manual of PostgreSQL 16, section 34.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One address of an alias."""

    name: str
    role: str
    host: str
    port: int
    weight: float = 1.0

    @property
    def address(self) -> str:
        """Host and port in one; an IPv6 address stands in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What one kind of client uses: the nodes in the order in which they are tried, and how to log in there."""

    name: str
    role: str
    nodes: tuple[Node, ...]
    dbname: str
    user: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    options: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCluster:
    """One primary alias with its replicas, as the other services see it; the nodes in the order of the settings."""

    alias: str
    primaries: tuple[Node, ...]
    replicas: tuple[Node, ...]
    reading: Service
    writing: Service
    search_path: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[Service, Service]:
        """The reading service, then the writing one."""
        return self.reading, self.writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the operator said about the services' machines."""

    libpq: int = 14
    passfile: str | None = None
    userlist: str = "/etc/pgbouncer/userlist.txt"
    listen: str = "127.0.0.1"
    port: int | None = None
    patroni_port: int | None = None
    check_user: str | None = None


HEADER = (
    "Written by `manage.py gmf_services {}` from DATABASES and GMF_ROUTER.",
    "Where those change, write it again instead of changing it here.",
)


def comment(lines: tuple[str, ...] | list[str], mark: str = "#") -> str:
    """Put lines into a comment."""
    return "".join(f"{mark} {line}".rstrip() + "\n" for line in lines)
