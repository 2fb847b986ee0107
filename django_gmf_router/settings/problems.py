"""Which values of GMF_ROUTER are wrong? One small function per rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django_gmf_router.postgres import names

CLUSTER_KEYS: dict[str, tuple[Any, ...]] = {
    "REPLICAS": (list, tuple, dict, None),
    "READ_METHODS": (list, tuple, set, frozenset),
    "DB_CHOOSER": (dict, None),
    "APPS": (list, tuple, set, frozenset, None),
    "PRIMARY_MODELS": (list, tuple, set, frozenset),
    "OUTSIDE_REQUESTS": (str,),
    "UNEXPECTED_WRITES": (str,),
    "BALANCER": (str,),
    "CONSISTENCY": (dict, None),
    "HEALTH": (dict, None),
    "PRIMARY_WAIT": (int, float),
    "DEBUG_HEADER": (str, None),
    "SCHEMAS": (dict, None),
}
NESTED_KEYS: dict[str, dict[str, tuple[Any, ...]]] = {
    "DB_CHOOSER": dict.fromkeys(("master", "slave", "primary", "replica"), (list, tuple)),
    "CONSISTENCY": {
        "LEVEL": (str,),
        "STORE": (str,),
        "MAX_AGE": (int, float),
        "WINDOW": (int, float),
        "COOKIE_NAME": (str,),
        "HEADER": (str,),
    },
    "HEALTH": dict.fromkeys(("INTERVAL", "TIMEOUT", "MAX_LAG"), (int, float)),
    "SCHEMAS": {"MAIN": (str,), "STATIC": (str,), "STATIC_APPS": (list, tuple, set, frozenset), "EXTENSIONS": (str,)},
}
REPLICA_KEYS: dict[str, tuple[Any, ...]] = {"WEIGHT": (int, float), "BALANCED": (bool,)}
CHOICES = {
    "OUTSIDE_REQUESTS": ("primary", "replica"),
    "UNEXPECTED_WRITES": ("warn", "allow", "refuse"),
    "BALANCER": ("random", "stable"),
    "LEVEL": ("session", "eventual", "strong"),
    "STORE": ("cookie", "header", "cache"),
}
POSITIVE = ("WEIGHT", "INTERVAL", "TIMEOUT", "MAX_LAG", "MAX_AGE")
HEADERS = ("DEBUG_HEADER", "HEADER", "COOKIE_NAME")
STRING_LISTS = (
    "REPLICAS",
    "READ_METHODS",
    "APPS",
    "PRIMARY_MODELS",
    "STATIC_APPS",
    "master",
    "slave",
    "primary",
    "replica",
)
SCHEMA_NAMES = ("MAIN", "STATIC", "EXTENSIONS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One wrong value: the id of its system check, what is wrong, and what to do."""

    id: str
    message: str
    hint: str


Value = tuple[str, str, Any, tuple[Any, ...] | None]
"""Where a value stands, the last key of the path to it, the value, the types it may have (None: no such key)."""


def found_in(raw: Any, databases: Collection[str]) -> Iterator[Problem]:
    """Yield every problem of `raw`, the value of GMF_ROUTER; types first, since the other rules rely on them."""
    wrong = list(_types(raw))
    if not wrong:
        wrong = list(chain.from_iterable(rule(raw, databases) for rule in RULES))
    yield from wrong


def _types(raw: Any) -> Iterator[Problem]:
    if not isinstance(raw, Mapping):
        yield _problem("E001", f"GMF_ROUTER is {raw!r}.", "Make it a dict: primary alias -> settings of its cluster.")
        return
    for primary, entry in raw.items():
        if not isinstance(entry, Mapping):
            yield _problem("E001", f"GMF_ROUTER[{primary!r}] is {entry!r}.", "Make it a dict of settings.")
            continue
        for value in _values(primary, entry):
            yield from _check_value(*value)


def _values(primary: str, entry: Mapping[str, Any]) -> Iterator[Value]:
    where = f"GMF_ROUTER[{primary!r}]"
    yield from _keys(where, entry, CLUSTER_KEYS)
    for key, keys in NESTED_KEYS.items():
        if isinstance(entry.get(key), Mapping):
            yield from _keys(f"{where}[{key!r}]", entry[key], keys)
    if isinstance(entry.get("REPLICAS"), Mapping):
        for alias, options in entry["REPLICAS"].items():
            here = f"{where}['REPLICAS'][{alias!r}]"
            yield here, alias, options, (dict, None)
            if isinstance(options, Mapping):
                yield from _keys(here, options, REPLICA_KEYS)


def _keys(where: str, mapping: Mapping[str, Any], known: dict[str, tuple[Any, ...]]) -> Iterator[Value]:
    for key, value in mapping.items():
        yield f"{where}[{key!r}]", key, value, known.get(key)


def _check_value(where: str, key: str, value: Any, types: tuple[Any, ...] | None) -> Iterator[Problem]:
    if types is None:
        yield _problem("E002", f"{where} is no setting.", "Remove it, or see the settings reference for its spelling.")
    elif not _is_a(value, types):
        names = " or ".join("None" if kind is None else kind.__name__ for kind in types)
        yield _problem("E007", f"{where} is {value!r}.", f"Its type must be {names}.")
    elif key in STRING_LISTS and not all(isinstance(item, str) for item in value or ()):
        yield _problem("E007", f"{where} is {value!r}.", "Each item must be a str.")
    elif key in CHOICES and value not in CHOICES[key]:
        yield _problem("E008", f"{where} is {value!r}.", f"Choose one of {', '.join(map(repr, CHOICES[key]))}.")
    elif key in HEADERS and value is not None and not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", value, re.ASCII):
        yield _problem("E008", f"{where} is {value!r}.", "It must be a name: letters, digits, hyphens.")
    elif (key in POSITIVE and value <= 0) or (key in {"PRIMARY_WAIT", "WINDOW"} and value < 0):
        yield _problem("E008", f"{where} is {value!r}.", "It must be a positive number.")


def _is_a(value: Any, types: tuple[Any, ...]) -> bool:
    if value is None:
        return None in types
    if isinstance(value, bool) and bool not in types:
        return False
    return isinstance(value, tuple(kind for kind in types if kind is not None))


def _unknown_aliases(raw: Mapping[str, Any], databases: Collection[str]) -> Iterator[Problem]:
    for primary, entry in raw.items():
        for alias in (primary, *(entry.get("REPLICAS") or ())):
            if alias not in databases:
                yield _problem("E003", f"GMF_ROUTER[{primary!r}] names the alias {alias!r}.", _add(alias))


def _add(alias: str) -> str:
    return f"Add {alias!r} to DATABASES, or correct the name."


def _replica_is_primary(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    for primary, entry in raw.items():
        if primary in (entry.get("REPLICAS") or ()):
            yield _problem(
                "E004",
                f"GMF_ROUTER[{primary!r}]['REPLICAS'] names the primary {primary!r}.",
                "List replicas only.",
            )


def _alias_twice(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for primary, entry in raw.items():
        aliases = [alias for alias in entry.get("REPLICAS") or () if alias != primary]
        for alias in (primary, *aliases):
            if alias in seen:
                yield _problem(
                    "E005",
                    f"The alias {alias!r} stands in GMF_ROUTER[{seen[alias]!r}] and GMF_ROUTER[{primary!r}].",
                    "An alias belongs to one cluster, once.",
                )
            seen[alias] = primary


def _patterns(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    for primary, entry in raw.items():
        for key, patterns in (entry.get("DB_CHOOSER") or {}).items():
            for pattern in patterns:
                where = f"GMF_ROUTER[{primary!r}]['DB_CHOOSER'][{key!r}]"
                try:
                    re.compile(pattern)
                except re.error as error:
                    yield _problem("E006", f"{where}: {pattern!r} does not compile: {error}.", "Correct the pattern.")


def _apps_twice(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    seen: dict[str | None, str] = {}
    for primary, entry in raw.items():
        if not entry.get("REPLICAS"):
            continue
        apps = entry.get("APPS")
        for app in [None] if apps is None else apps:
            if app in seen:
                what = "all other apps (APPS None)" if app is None else f"the app {app!r}"
                yield _problem(
                    "E009",
                    f"GMF_ROUTER[{seen[app]!r}] and GMF_ROUTER[{primary!r}] both claim {what}.",
                    "Name each app in the APPS of one cluster.",
                )
            seen[app] = primary


def _model_labels(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    for primary, entry in raw.items():
        for label in entry.get("PRIMARY_MODELS", ()):
            if not re.fullmatch(r"\w+\.(\w+|\*)", label):
                yield _problem(
                    "E010",
                    f"GMF_ROUTER[{primary!r}]['PRIMARY_MODELS'] names {label!r}.",
                    'Write "app.Model" or "app.*".',
                )


def _schema_names(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    for where, schemas in _schemas(raw):
        for key in SCHEMA_NAMES:
            if key in schemas and (line := names.problem(schemas[key])):
                yield _problem("E011", f"{where}[{key!r}]: {line}", "Any other name will do: it is always quoted.")


def _schemas_equal(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    for where, schemas in _schemas(raw):
        seen: dict[str, str] = {}
        for key, default in zip(SCHEMA_NAMES, ("main", "static", "public"), strict=True):
            name = schemas.get(key, default)
            if name in seen:
                yield _problem(
                    "E012",
                    f"{where}: {seen[name]} and {key} are both {name!r}.",
                    "Name three different schemas: this server's own, the shared one, and the one of the extensions.",
                )
            seen[name] = key


def _static_app_elsewhere(raw: Mapping[str, Any], _databases: Collection[str]) -> Iterator[Problem]:
    for primary, entry in raw.items():
        others = [other for other in raw if other != primary and raw[other].get("REPLICAS") and raw[other].get("APPS")]
        for app in sorted((entry.get("SCHEMAS") or {}).get("STATIC_APPS", ())):
            for other in others:
                if app in raw[other]["APPS"]:
                    yield _problem(
                        "E013",
                        f"GMF_ROUTER[{primary!r}]['SCHEMAS']['STATIC_APPS'] names {app!r}, an app of {other!r}.",
                        f"Remove it here, or from GMF_ROUTER[{other!r}]['APPS'].",
                    )


def _schemas(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for primary, entry in raw.items():
        if entry.get("SCHEMAS"):
            yield f"GMF_ROUTER[{primary!r}]['SCHEMAS']", entry["SCHEMAS"]


def _problem(check: str, message: str, hint: str) -> Problem:
    return Problem(id=f"gmf_router.{check}", message=message, hint=hint)


Rule = Callable[[Mapping[str, Any], Collection[str]], Iterator[Problem]]
RULES: tuple[Rule, ...] = (
    _unknown_aliases,
    _replica_is_primary,
    _alias_twice,
    _patterns,
    _apps_twice,
    _model_labels,
    _schema_names,
    _schemas_equal,
    _static_app_elsewhere,
)
