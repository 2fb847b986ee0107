"""What do the rules over `METHOD /path` say, SHARE, and the site's own? The former are fixed when a unit of work opens.

Source: GeoMapFish's db_chooser. Patterns are tried with `re.match` on "METHOD /path", Django's decoded path with the
script prefix and without the query string; `master` wins over read methods and `slave`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.utils.module_loading import import_string

from django_gmf_router.replicas.pool import Wanted
from django_gmf_router.settings.values import ClusterConfig, Role

LOGGER = logging.getLogger("django_gmf_router")
METHOD_REASONS = frozenset({"read_method", "write_method"})


class Client(NamedTuple):
    """For whom a replica is picked."""

    wanted: Wanted | None = None
    """What it must be able to read; None: anything."""
    key: str | None = None
    """Who it is, for a stable balancer: its session or what it sends as its token."""


def key_of(request: HttpRequest) -> str:
    """Return who the client of a request is: its session, else its address."""
    return str(request.COOKIES.get(settings.SESSION_COOKIE_NAME) or request.META.get("REMOTE_ADDR") or "")


def is_in_share(key: str, share: float) -> bool:
    """Return whether a client is in this part of all clients: the same one always, and in each larger part too."""
    if share >= 1:
        return True
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=8, person=b"gmf_share").digest()
    return int.from_bytes(digest, "big") < share * 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the rules over `METHOD /path` say of one request."""

    role: Role
    reason: str
    master: str | None = None
    """The first `master` pattern that matches."""
    reads: bool = False
    """Whether the method is in READ_METHODS."""
    slave: str | None = None
    """The first `slave` pattern that matches, where that matters."""
    pool: str | None = None
    """The first pool of which a pattern matches; None: the default pool."""
    shares: bool = True
    """Whether its client is in SHARE."""
    chosen: Role | None = None
    """What CHOOSER answered."""


class Chooser:
    """The site's own rule, a function from a request to "primary", "replica" or None."""

    def __init__(self, path: str) -> None:
        """Take the dotted path of the function; it is imported when it is first asked."""
        self._path = path
        self._told: set[str] = set()

    def ask(self, request: HttpRequest) -> Role | None:
        """Return what the site says of a request. What it raises and nonsense are logged once, and say nothing.

        Raise SynchronousOnlyOperation where it cannot be asked in this thread.
        """
        try:
            answer: object = import_string(self._path)(request)
        except SynchronousOnlyOperation:
            raise
        except Exception as error:  # noqa: BLE001  a page must not fail for the sake of its speed
            self._tell(f"it raised {type(error).__name__}: {error}", error)
            return None
        if answer is None:
            return None
        try:
            return Role(answer)
        except ValueError:
            self._tell(f"it returned {answer!r}, which is neither 'primary', 'replica' nor None", None)
            return None

    def _tell(self, what: str, error: Exception | None) -> None:
        if what not in self._told:
            self._told.add(what)
            text = "CHOOSER, %s, says nothing of a request: %s. Its method decides."
            LOGGER.warning(text, self._path, what, exc_info=error, extra={"event": "chooser"})


class DbChooser:
    """The rules of one cluster over `METHOD /path`."""

    def __init__(self, config: ClusterConfig) -> None:
        """Compile the patterns; they have been checked to compile."""
        self._read_methods = config.read_methods
        self._master = tuple(map(re.compile, config.master))
        self._slave = tuple(map(re.compile, config.slave))
        self.chooser = Chooser(config.chooser) if config.chooser is not None else None
        self._pools = [(name, tuple(map(re.compile, patterns))) for name, patterns in config.pools]
        # Two threads at once may lose one: a lock would cost each request more than its patterns do.
        self.hits: Counter[tuple[str, str]] = Counter()
        """By key of DB_CHOOSER and pattern how many requests of this process it decided."""

    def verdict(self, method: str, path: str, *, shares: bool = True, completely: bool = False) -> Verdict:
        """Return what rules 5, 6 and 10 of the policy say; `completely`: name what they would say later, too.

        `shares`: whether the client is in SHARE.
        """
        # Most requests read: for them the `slave` patterns decide nothing, and are not tried.
        subject = f"{method} {path}"
        master = _first_match(self._master, subject)
        reads = method in self._read_methods
        is_asked = completely or not (reads or master) or self.chooser is not None
        slave = _first_match(self._slave, subject) if is_asked else None
        pool = next((name for name, patterns in self._pools if _first_match(patterns, subject)), None)
        if not completely:
            self._count(master, slave)
        return _verdict(master, reads, slave, pool, shares)

    def leaves_open(self, verdict: Verdict) -> bool:
        """Return whether CHOOSER has its say: no pattern matched, and the client is in SHARE."""
        return self.chooser is not None and verdict.reason in METHOD_REASONS and verdict.slave is None

    def _count(self, master: str | None, slave: str | None) -> None:
        if master is not None:
            self.hits["master", master] += 1
        elif slave is not None:
            self.hits["slave", slave] += 1


@lru_cache(maxsize=1024)
def _verdict(master: str | None, reads: bool, slave: str | None, pool: str | None, shares: bool) -> Verdict:
    # Few and always the same: making one costs more than matching.
    role, reason = Role.PRIMARY, "write_method"
    if master is not None:
        reason = "master_override"
    elif not shares:
        reason = "share"
    elif reads or slave is not None:
        role, reason = Role.REPLICA, "read_method" if reads else "slave_override"
    return Verdict(role=role, reason=reason, master=master, reads=reads, slave=slave, pool=pool, shares=shares)


def verdict_of_job(*, shares: bool) -> Verdict:
    """Return what there is to say of a `unit_of_work()`; `shares`: whether its name, as a client, is in SHARE."""
    if not shares:
        return Verdict(role=Role.PRIMARY, reason="share", shares=False)
    return Verdict(role=Role.REPLICA, reason="unit_of_work")


def chosen(verdict: Verdict, role: Role) -> Verdict:
    """Return the verdict of a request of which CHOOSER says this."""
    return replace(verdict, role=role, reason="chooser", chosen=role)


def _first_match(patterns: Sequence[re.Pattern[str]], subject: str) -> str | None:
    for pattern in patterns:
        if pattern.match(subject):
            return pattern.pattern
    return None


def shadows(pattern: str, later: str) -> bool:
    """Return whether all that `later` matches is surely matched by `pattern`: it begins with the same expression."""
    begins = pattern if pattern.endswith(r"\.*") else pattern.removesuffix(".*")
    rest = later.removeprefix(begins)
    if pattern == later:
        return True
    if not later.startswith(begins) or rest.startswith(("*", "+", "?", "{")) or _has_alternatives(later):
        return False
    try:
        re.compile(begins)
    except re.error:  # It ends within a group or a set.
        return False
    return True


def _has_alternatives(pattern: str) -> bool:
    """Return whether a `|` stands outside of every group."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "", pattern, flags=re.DOTALL)
    depth = 0
    for character in bare:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            return True
    return False
