"""What may a value of GMF_ROUTER be, and what is it parsed into?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from types import NoneType
from typing import Any

from django_gmf_router.postgres import names


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One wrong value: the id of its system check, what is wrong, and what to do."""

    id: str
    message: str
    hint: str


# Yields what is wrong with a value of a right type that stands at a place, `GMF_ROUTER['default']['HEALTH']`.
Rule = Callable[[str, Any], Iterator[Problem]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a value may be."""

    # As the settings reference names it.
    text: str
    # NoneType is among them where None may stand; a bool is no number here.
    types: tuple[type, ...]
    rule: Rule = lambda _where, _value: iter(())
    parse: Callable[[Any], Any] = lambda value: value
    # Of a dict: the kind of what stands under a name, None where there is no such key.
    inner: Callable[[str], Kind | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of GMF_ROUTER: its name, what it may be, and what it means."""

    name: str
    kind: Kind
    text: str


def key(name: str, kind: Kind, default: Any, text: str) -> Any:
    """Return the field of a dataclass that the key `name` is parsed into; `default` is a parsed value."""
    return field(default=default, metadata={"key": Key(name=name, kind=kind, text=text)})


def keys(config: Any) -> dict[str, Key]:
    """Return the keys of a dataclass by the name of its field."""
    return {each.name: each.metadata["key"] for each in fields(config) if "key" in each.metadata}


def parsed(config: Any, mapping: Mapping[str, Any], **others: Any) -> Any:
    """Return the dataclass `config` with the values of `mapping`, which are right."""
    values = {name: one.kind.parse(mapping[one.name]) for name, one in keys(config).items() if one.name in mapping}
    return config(**others, **values)


def problem(check: str, message: str, hint: str) -> Problem:
    """Return the problem that the system check gmf_router.`check` reports."""
    return Problem(id=f"gmf_router.{check}", message=message, hint=hint)


def _unfit(where: str, value: Any, hint: str) -> Problem:
    return problem("E008", f"{where} is {value!r}.", hint)


def _positive(where: str, value: float) -> Iterator[Problem]:
    if value <= 0:
        yield _unfit(where, value, "It must be a positive number.")


def _not_negative(where: str, value: float) -> Iterator[Problem]:
    if value < 0:
        yield _unfit(where, value, "It must be a positive number, or 0.")


def _at_least(least: int) -> Rule:
    def rule(where: str, value: int) -> Iterator[Problem]:
        if value < least:
            yield _unfit(where, value, f"It must be {least} or more.")

    return rule


def _fraction(where: str, value: float) -> Iterator[Problem]:
    if not 0 <= value <= 1:
        yield _unfit(where, value, "It must be a number from 0 to 1.")


def _dotted_path(where: str, value: str) -> Iterator[Problem]:
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", value):
        yield _unfit(where, value, 'It must be the dotted path of a function, "app.module.function".')


def _not_empty(where: str, value: str) -> Iterator[Problem]:
    if not value:
        yield _unfit(where, value, "Give it a name, or None.")


def _above_one(where: str, value: float) -> Iterator[Problem]:
    if value <= 1:
        yield _unfit(where, value, "It must be a number above 1.")


def _header_name(where: str, value: str) -> Iterator[Problem]:
    # RFC 9110, section 5.6.2, "Tokens"; RFC 6265 says the same of a cookie's name.
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", value, re.ASCII):
        yield _unfit(where, value, "It must be a name: letters, digits, hyphens.")


def _pattern(where: str, pattern: str) -> Iterator[Problem]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield problem("E006", f"{where}: {pattern!r} does not compile: {error}.", "Correct the pattern.")


def _model_label(where: str, label: str) -> Iterator[Problem]:
    if not re.fullmatch(r"\w+\.(\w+|\*)", label):
        yield problem("E010", f"{where} names {label!r}.", 'Write "app.Model" or "app.*".')


def _schema_name(where: str, name: str) -> Iterator[Problem]:
    if line := names.problem(name):
        yield problem("E011", f"{where}: {line}", "Any other name will do: it is always quoted.")


def _each(rule: Rule) -> Rule:
    return lambda where, items: (wrong for item in items for wrong in rule(where, item))


def choice(*values: str, parse: Callable[[str], Any] = str) -> Kind:
    """Return the kind of one of `values`."""

    def rule(where: str, value: str) -> Iterator[Problem]:
        if value not in values:
            yield _unfit(where, value, f"Choose one of {', '.join(repr(str(each)) for each in values)}.")

    *others, last = (f'`"{each}"`' for each in values)
    return Kind(text=f"{', '.join(others)} or {last}", types=(str,), rule=rule, parse=parse)


def section(config: Any) -> Kind:
    """Return the kind of a dict that has the keys of `config`; None is an empty one."""
    known = {one.name: one.kind for one in keys(config).values()}
    return Kind(
        text="dict", types=(dict, NoneType), inner=known.get, parse=lambda mapping: parsed(config, mapping or {})
    )


def word_or_section(word: Kind, config: Any, name: str) -> Kind:
    """Return the kind of a `word`, which is then the value of the field `name` of `config`, or a dict of its keys."""
    inner = section(config)

    def rule(where: str, value: Any) -> Iterator[Problem]:
        return word.rule(where, value) if isinstance(value, str) else iter(())

    return Kind(
        text=f"{word.text}, or dict",
        types=(str, dict),
        rule=rule,
        inner=inner.inner,
        parse=lambda value: config(**{name: word.parse(value)}) if isinstance(value, str) else inner.parse(value),
    )


def optional(kind: Kind) -> Kind:
    """Return the kind of the same values and None."""
    return replace(
        kind,
        text=f"{kind.text} or `None`",
        types=tuple(dict.fromkeys((*kind.types, NoneType))),
        parse=lambda value: None if value is None else kind.parse(value),
    )


COLLECTIONS = (list, tuple, set, frozenset)
BOOL = Kind(text="bool", types=(bool,))
STR = Kind(text="str", types=(str,))
POSITIVE = Kind(text="positive number", types=(int, float), rule=_positive)
WEIGHT = Kind(text="number not below 0", types=(int, float), rule=_not_negative)
RANK = Kind(text="whole number, 1 or more", types=(int,), rule=_at_least(1))
COUNT = Kind(text="whole number, 0 or more", types=(int,), rule=_at_least(0))
NAME = Kind(text="str", types=(str,), rule=_not_empty)
FRACTION = Kind(text="number from 0 to 1", types=(int, float), rule=_fraction)
DOTTED_PATH = Kind(text="dotted path", types=(str,), rule=_dotted_path)
POSITIVE_SECONDS = replace(POSITIVE, text="positive number, seconds")
ABOVE_ONE = Kind(text="number above 1", types=(int, float), rule=_above_one)
SECONDS = replace(WEIGHT, text="number not below 0, seconds")
HEADER_NAME = Kind(text="str", types=(str,), rule=_header_name)
SCHEMA_NAME = Kind(text="schema name", types=(str,), rule=_schema_name)
METHODS = Kind(
    text="list, tuple or set of str",
    types=COLLECTIONS,
    parse=lambda methods: frozenset(method.upper() for method in methods),
)
PATTERNS = Kind(text="list of patterns", types=(list, tuple), rule=_each(_pattern), parse=tuple)
NAMED_PATTERNS = Kind(
    text="dict of name to list of patterns",
    types=(dict,),
    inner=lambda _name: PATTERNS,
    parse=lambda named: tuple((name, tuple(patterns)) for name, patterns in named.items()),
)
APP_LABELS = Kind(text="list, tuple or set of app labels", types=COLLECTIONS, parse=frozenset)
MODEL_LABELS = Kind(
    text='list, tuple or set of `"app.Model"` or `"app.*"`',
    types=COLLECTIONS,
    rule=_each(_model_label),
    # As Django's own `label_lower`.
    parse=lambda labels: tuple(label.lower() for label in labels),
)
