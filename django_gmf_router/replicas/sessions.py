"""How is a replica's session kept from writing, also after the replica was promoted?"""

from __future__ import annotations

from typing import Any

READ_ONLY = "-c default_transaction_read_only=on"
CONNECT_TIMEOUT_SECONDS = 2
_PARAMETER = "default_transaction_read_only"


def read_only_options(options: str | None) -> str:
    """Answer libpq's `options` with the read-only parameter, so that it costs no round trip."""
    if options and _PARAMETER in options:
        return options
    return f"{options} {READ_ONLY}" if options else READ_ONLY


def ensure_read_only(connection: Any) -> None:
    """Make the new session of a replica read-only where its OPTIONS did not: a stock ENGINE, settings by hand."""
    if connection.vendor != "postgresql" or _PARAMETER in (connection.get_connection_params().get("options") or ""):
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET {_PARAMETER} = on")
