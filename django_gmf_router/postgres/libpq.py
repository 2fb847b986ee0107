"""Which keywords does libpq know, since when, which of several hosts does it reach, and what do `options` make of it?

They make a session read-only and give it a search_path, so that neither costs a round trip.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from django_gmf_router.postgres.names import quote

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


def try_hosts(connect: Callable[[dict[str, Any]], Any], params: dict[str, Any], driver: Any) -> Any:
    """Return what `connect` returns for the first host of `params` that can be had, in the role that they ask for.

    libpq ends where a host takes a connection and drops it, or refuses it for another reason than 57P03 (fe-connect.c,
    PQconnectPoll): a standby that goes down would hide the primary that is named after it. Raises the driver's
    OperationalError with what each host said, as libpq does.
    """
    attempts = list(_attempts(params))
    if len(attempts) == 1:
        return connect(params)
    said = ""
    for attempt in attempts:
        try:
            return connect(attempt)
        except driver.OperationalError as error:
            refusal = str(error).strip()
        said += f"{refusal}\n"
    raise driver.OperationalError(said)


def _attempts(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what connects to each host alone, in the order in which libpq tries them."""
    lists = {name: texts for name in ("host", "hostaddr", "port") if (texts := _given(params, name).split(",")) != [""]}
    count = max(len(lists.get(name, "1")) for name in ("host", "hostaddr"))
    if len(lists.get("port", ())) == 1:
        del lists["port"]
    # What a service names only libpq knows; what does not fit it says best.
    if count == 1 or _given(params, "service") or any(len(texts) != count for texts in lists.values()):
        yield params
        return
    attempts = [{**params, **dict(zip(lists, texts, strict=True))} for texts in zip(*lists.values(), strict=True)]
    if _given(params, "load_balance_hosts") == "random":
        random.shuffle(attempts)
    if _given(params, "target_session_attrs") == "prefer-standby":
        yield from ({**attempt, "target_session_attrs": "standby"} for attempt in attempts)
        attempts = [{**attempt, "target_session_attrs": "any"} for attempt in attempts]
    yield from attempts


def _given(params: Mapping[str, Any], name: str) -> str:
    # In the environment a keyword has its name in capitals, without its underscores (manual, "Environment Variables").
    return str(params.get(name) or os.environ.get(f"PG{name.replace('_', '').upper()}") or "")


READ_ONLY = "-c default_transaction_read_only=on"
CONNECT_TIMEOUT_SECONDS = 2
# By default TCP notices after two hours that a machine is gone, and after a quarter of one if data are on their way.
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
TCP_USER_TIMEOUT_MILLISECONDS = 25_000
_READ_ONLY = "default_transaction_read_only"
_SEARCH_PATH = "search_path"
# As the server splits `options`: at white space, unless a backslash stands before it (PostgreSQL's manual, 32.1.2).
_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_SETTING = re.compile(r"(?:-c|--)\s*([^=\s]+)\s*=(.*)", re.DOTALL)
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"\s]+))\s*(?:,|$)')


def settings_in(options: str | None) -> dict[str, str]:
    """Return the settings that `options` make, by their names in small letters; the last of several counts."""
    words = [re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in _WORD.findall(options or "")]
    joined = [f"-c{words[place]}" if words[place - 1] == "-c" else words[place] for place in range(1, len(words))]
    found = (_SETTING.fullmatch(word) for word in (*words[:1], *joined))
    # PostgreSQL takes a dash for an underscore here, and capitals for small letters (postgres.c, ParseLongOption).
    return {match[1].replace("-", "_").lower(): match[2] for match in found if match}


def read_only_options(options: str | None) -> str:
    """Return libpq's `options` of a replica's session: read-only, whatever they say before, without a round trip."""
    if _is_read_only(options):
        return str(options)
    # PostgreSQL takes the last of several: ours stands at the end.
    return f"{options} {READ_ONLY}" if options else READ_ONLY


def add_to_options(params: dict[str, Any], add: Callable[[str | None], str]) -> None:
    """Add to the `options` among the driver's `params` what `add` adds to a text, unless a service may have them.

    libpq takes PGOPTIONS, and the `options` of a service file, only where none are given (manual, 34.1.2 and 34.17).
    """
    given = params.pop("options", None)
    # What `env.replica_of` adds is ours: it says nothing of what the site wants.
    if given and given != READ_ONLY:
        params["options"] = add(given)
    elif not (params.get("service") or os.environ.get("PGSERVICE")):
        params["options"] = add(os.environ.get("PGOPTIONS"))


def complete_session(connection: Any, *, read_only: bool, path: tuple[str, ...] | None) -> None:
    """Set in the new session of a driver's `connection` what its `options` did not, since a service file has them."""
    info = connection.info
    found = info.dsn_parameters if hasattr(info, "dsn_parameters") else info.get_parameters()
    options = found.get("options")
    with connection.cursor() as cursor:
        if read_only and not _is_read_only(options):
            cursor.execute(f"SET {_READ_ONLY} = on")
        if path is not None and search_path_in(options) is None:
            cursor.execute(f"SET {_SEARCH_PATH} = {', '.join(map(quote, path))}")
    if not connection.autocommit:
        connection.commit()


def ensure_read_only(connection: Any) -> None:
    """Make the new session of a replica read-only where its OPTIONS did not: a stock ENGINE, settings by hand."""
    if connection.vendor != "postgresql" or _is_read_only(connection.get_connection_params().get("options")):
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SET {_READ_ONLY} = on")


def _is_read_only(options: str | None) -> bool:
    return settings_in(options).get(_READ_ONLY) == "on"


def with_search_path(options: str | None, path: tuple[str, ...]) -> str:
    """Return `options` with a search_path of the schemas `path`; one that it has already is left."""
    if options and search_path_in(options) is not None:
        return options
    value = ",".join(quote(name) for name in path)
    ours = f"-c {_SEARCH_PATH}=" + re.sub(r"([\\\s])", r"\\\1", value)
    return f"{options} {ours}" if options else ours


def search_path_in(options: str | None) -> tuple[str, ...] | None:
    """Return the schemas of the search_path in `options`, None where there is none; the last of several counts."""
    value = settings_in(options).get(_SEARCH_PATH)
    return None if value is None else parse(value)


def parse(value: str) -> tuple[str, ...]:
    """Return the schemas of a search_path as PostgreSQL reads it: names without quotes are folded."""
    names = _NAME.findall(value)
    return tuple(quoted.replace('""', '"') or plain.lower() for quoted, plain in names)
