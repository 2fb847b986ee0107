"""Which keywords of libpq say what a service is?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.services.entries import KEYWORDS
from django_gmf_router.services.values import LOAD_BALANCE_SINCE, Service, Wanted

OLDEST = 10
PREFER_STANDBY_SINCE = 14


def keywords(service: Service, wanted: Wanted) -> dict[str, str]:
    """Return the keywords in the order in which they are written."""
    _refuse_newer(service, wanted.libpq)
    found = {
        "host": ",".join(node.host for node in service.nodes),
        "port": ",".join(str(node.port) for node in service.nodes),
        "dbname": service.dbname,
        "user": service.user,
        **service.parameters,
        "options": service.options,
        **_choice(service, wanted.libpq),
    }
    if wanted.passfile:
        found["passfile"] = wanted.passfile
    return {key: value for key, value in found.items() if value}


def text(pairs: Mapping[str, str]) -> str:
    """Return a connection string (manual, section "Keyword/Value Connection Strings")."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in pairs.items())


def notes(services: list[Service], wanted: Wanted) -> Iterator[str]:
    """Yield what the operator has to know: about passwords, and about the order of the nodes."""
    if wanted.libpq >= LOAD_BALANCE_SINCE:
        yield f"For libpq {wanted.libpq} or later: each connection of a read service has its own order of replicas."
    else:
        yield f"For libpq {wanted.libpq} or later. Replicas stand in a random order, made when this was written:"
        yield "write it for each machine anew. Where libpq is 16 or later, --libpq 16 adds load_balance_hosts=random,"
        yield "an order of its own for each connection; an older libpq refuses that keyword."
    yield "Passwords stand in a passfile (passfile=, PGPASSFILE or ~/.pgpass, mode 0600), one line each:"
    lines = {_passfile_line(service, number) for service in services for number in range(len(service.nodes))}
    yield from (f"  {line}" for line in sorted(lines))


def _passfile_line(service: Service, number: int) -> str:
    node = service.nodes[number]
    fields = (node.host, str(node.port), service.dbname, service.user or "*")
    return ":".join(re.sub(r"([\\:])", r"\\\1", each) for each in fields) + ":<password>"


def _choice(service: Service, libpq: int) -> dict[str, str]:
    if service.role == "primary":
        return {"target_session_attrs": "read-write"}
    # An older libpq knows no roles: the order alone puts the primary last.
    attributes = {"target_session_attrs": "prefer-standby" if libpq >= PREFER_STANDBY_SINCE else "any"}
    return {**attributes, "load_balance_hosts": "random"} if libpq >= LOAD_BALANCE_SINCE else attributes


def _refuse_newer(service: Service, libpq: int) -> None:
    for key in service.parameters:
        if KEYWORDS[key] > libpq:
            raise ImproperlyConfigured(
                f"OPTIONS[{key!r}] of {service.name} is for libpq {KEYWORDS[key]} or later: "
                f"say --libpq {KEYWORDS[key]} if the services have it, or remove it."
            )


def _quoted(value: str) -> str:
    if re.fullmatch(r"[^\s'\\]+", value):
        return value
    return "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"
