"""Which keywords does libpq know, and since when?"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

DEFAULT_PORT = "5432"
DEFAULT_SOCKET_DIRECTORIES = {"/tmp", "/var/run/postgresql"}  # noqa: S108
"""Where libpq looks for the socket: PostgreSQL's own builds, and those of Debian, Red Hat and others."""
KEYWORDS_SINCE = {
    **dict.fromkeys(("gssencmode", "tcp_user_timeout"), 12),
    **dict.fromkeys(("channel_binding", "ssl_min_protocol_version", "ssl_max_protocol_version"), 13),
    **dict.fromkeys(("sslcrldir", "sslsni"), 14),
    **dict.fromkeys(("load_balance_hosts", "require_auth", "sslcertmode", "gssdelegation"), 16),
    "sslnegotiation": 17,
    **dict.fromkeys(("min_protocol_version", "max_protocol_version"), 18),
    **dict.fromkeys(("oauth_issuer", "oauth_client_id", "oauth_scope"), 18),
}
"""The major version that brought a keyword, where libpq 10 has it not (manual, section "Parameter Key Words")."""
PREFER_STANDBY_SINCE = 14
"""The major version that knows `target_session_attrs=prefer-standby`."""


@lru_cache(maxsize=256)
def is_keyword(name: str, driver: Any) -> bool:
    """Return whether the libpq of `driver`, the module psycopg or psycopg2, knows the keyword: it is asked."""
    if not name.isidentifier():
        # Else the text below would say something else.
        return False
    parse = driver.extensions.parse_dsn if driver.__name__ == "psycopg2" else driver.conninfo.conninfo_to_dict
    try:
        parse(f"{name}=''")
    except driver.ProgrammingError:
        return False
    return True
