"""What does the operator say of the machines of the services, and what stands at the top of every file?"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured

OLDEST_LIBPQ = 10
HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """The options of `gmf_services`. Raises ImproperlyConfigured for what cannot stand in a file."""

    libpq: int = 14
    """The major version of the services' libpq."""
    passfile: str | None = None
    """Where libpq finds passwords; None for its own places."""
    userlist: str = "/etc/pgbouncer/userlist.txt"
    own_role: bool = False
    """Whether no other server logs in as the roles of these aliases."""
    listen: str = "127.0.0.1"
    port: int | None = None
    """The first port to listen on; None for the format's own."""
    patroni_port: int | None = None
    check_user: str | None = None
    """A role that logs in without a password, for HAProxy's checks."""

    def __post_init__(self) -> None:
        if self.libpq < OLDEST_LIBPQ:
            raise ImproperlyConfigured(
                f"--libpq {self.libpq} knows no lists of hosts: the services need libpq {OLDEST_LIBPQ} or later."
            )
        for name, port in (("--port", self.port), ("--patroni-port", self.patroni_port)):
            if port is not None and not 0 < port <= HIGHEST_PORT:
                raise ImproperlyConfigured(f"{name} {port} is no port: use a number from 1 to {HIGHEST_PORT}.")
        for name in ("passfile", "userlist", "check_user"):
            value = getattr(self, name)
            if value is not None and (not value.isprintable() or value != value.strip() or not value):
                raise ImproperlyConfigured(
                    f"--{name.replace('_', '-')} {value!r} cannot stand in the file: "
                    "give it without line breaks or spaces at its ends."
                )
        if not _is_address(self.listen):
            raise ImproperlyConfigured(
                f"--listen {self.listen!r} is no address: give one name or address, IPv6 without brackets, or *."
            )


def _is_address(text: str) -> bool:
    if re.fullmatch(r"\*|[a-z0-9]([\w.-]*[a-z0-9])?", text, re.ASCII | re.IGNORECASE):
        return True
    try:
        return ":" in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def heading(written_by: str, *notes: str, mark: str = "#") -> str:
    """Return the comment at the top of a file: which format it is, and what its operator has to know."""
    lines = (
        f"Written by `manage.py gmf_services {written_by}` from DATABASES and GMF_ROUTER.",
        "Where those change, write it again instead of changing it here.",
        *notes,
    )
    return "".join(f"{mark} {line}".rstrip() + "\n" for line in lines)
