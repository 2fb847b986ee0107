"""What do the dicts within an entry of GMF_ROUTER say? Each key once, as in `values`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django_gmf_router.settings import kinds
from django_gmf_router.settings.kinds import choice, key, optional, section

OWN_APP = "gmf_router"
DEFAULT_STATIC_APPS = frozenset({"admin", "auth", "contenttypes", "sessions"})
"""What Django's own apps write at run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternsConfig:
    """Regular expressions over "METHOD /path", tried in order with `re.match`; GeoMapFish's words and ours."""

    master: tuple[str, ...] = key(
        "master", kinds.PATTERNS, (), "Their requests use the primary, also where `slave` matches."
    )
    slave: tuple[str, ...] = key(
        "slave", kinds.PATTERNS, (), "Their requests read from a replica, whatever the method."
    )
    primary: tuple[str, ...] = key("primary", kinds.PATTERNS, (), "The same as `master`.")
    replica: tuple[str, ...] = key("replica", kinds.PATTERNS, (), "The same as `slave`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnexpectedWritesConfig:
    """What happens with a write in a request that the rules sent to replicas, by patterns over "METHOD /path"."""

    allow: tuple[str, ...] = key("allow", kinds.PATTERNS, (), "Their requests may write.")
    warn: tuple[str, ...] = key("warn", kinds.PATTERNS, (), "Their requests may write, and it is logged.")
    refuse: tuple[str, ...] = key("refuse", kinds.PATTERNS, (), "Their requests may not write.")
    otherwise: str = "warn"
    """Where no pattern matches, or only a word was given."""

    def answer(self, method: str, path: str) -> str:
        """Return "allow", "warn" or "refuse"; the mildest whose pattern matches."""
        lists = {"allow": self.allow, "warn": self.warn, "refuse": self.refuse}
        matching = (
            word for word, patterns in lists.items() if any(re.match(one, f"{method} {path}") for one in patterns)
        )
        return next(matching, self.otherwise)


UNEXPECTED_WRITES = kinds.word_or_section(choice("warn", "allow", "refuse"), UnexpectedWritesConfig, "otherwise")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyConfig:
    """How a client reads its own writes."""

    level: str = key("LEVEL", choice("session", "eventual", "strong"), "session", "Whose writes a read sees at least.")
    store: str = key("STORE", choice("cookie", "header", "cache"), "cookie", "Where the client's token is kept.")
    max_age: float = key("MAX_AGE", kinds.POSITIVE_SECONDS, 60, "How long a token counts.")
    window: float = key(
        "WINDOW", kinds.SECONDS, 5, "How long a client reads from the primary after a write without a position."
    )
    cookie_name: str = key("COOKIE_NAME", kinds.HEADER_NAME, "gmf_token", "The cookie that holds the token.")
    cookie_domain: str | None = key(
        "COOKIE_DOMAIN", optional(kinds.STR), None, "Its domain; `None`: as `SESSION_COOKIE_DOMAIN`."
    )
    cookie_path: str | None = key(
        "COOKIE_PATH", optional(kinds.STR), None, "Its path; `None`: as `SESSION_COOKIE_PATH`."
    )
    cookie_samesite: str | None = key(
        "COOKIE_SAMESITE",
        optional(choice("Lax", "Strict", "None")),
        None,
        "Its SameSite; `None`: as `SESSION_COOKIE_SAMESITE`.",
    )
    header: str = key("HEADER", kinds.HEADER_NAME, "GMF-Consistency-Token", "The header that holds the token.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowConfig:
    """When a replica is slow."""

    factor: float = key("FACTOR", kinds.ABOVE_ONE, 4.0, "How many times as long as on the best its reads take.")
    floor: float = key("FLOOR", kinds.SECONDS, 0.05, "What takes no longer than this is not slow.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """How nodes are watched."""

    interval: float = key("INTERVAL", kinds.POSITIVE_SECONDS, 1.0, "How often each node is probed.")
    timeout: float = key("TIMEOUT", kinds.POSITIVE_SECONDS, 2.0, "How long a probe may take before its node is down.")
    max_lag: float = key("MAX_LAG", kinds.POSITIVE_SECONDS, 5.0, "A replica that is behind by more gets no reads.")
    slow: SlowConfig | None = key(
        "SLOW", optional(section(SlowConfig)), SlowConfig(), "When a replica is slow; `None`: none ever is."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemasConfig:
    """The schemas of a cluster's database: main is this server's own, static is shared by all servers."""

    main: str = key("MAIN", kinds.SCHEMA_NAME, "main", "The schema of the apps that are not static.")
    static: str = key("STATIC", kinds.SCHEMA_NAME, "static", "The schema of the static apps.")
    static_apps: frozenset[str] = key(
        "STATIC_APPS", kinds.APP_LABELS, DEFAULT_STATIC_APPS, "The apps whose tables all servers share."
    )
    extensions: str = key("EXTENSIONS", kinds.SCHEMA_NAME, "public", "The schema of PostGIS and other extensions.")

    def __post_init__(self) -> None:
        """Count this package's own table among the static ones: what operators say of the servers, all sites share."""
        object.__setattr__(self, "static_apps", self.static_apps | {OWN_APP})

    @property
    def path(self) -> tuple[str, str, str]:
        """The schemas in which every session looks for a name, in this order."""
        return (self.main, self.static, self.extensions)

    def schema_of(self, app_label: str) -> str:
        """Return the schema that holds the tables of an app, and the history of its migrations."""
        return self.static if app_label in self.static_apps else self.main

    def path_of(self, app_label: str) -> tuple[str, ...]:
        """Return where the migrations of an app look for a name: its own schema first; from static never in main."""
        return self.path[1:] if app_label in self.static_apps else self.path
