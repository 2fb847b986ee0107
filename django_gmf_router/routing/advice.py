"""What sends this request to the primary: which line of the settings, or where no line is narrow enough, what else?"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from django.http import HttpRequest
from django.urls import NoReverseMatch, converters, get_script_prefix, reverse
from django.utils.translation import get_language_from_path

from django_gmf_router.routing.unit_of_work import UnitOfWork
from django_gmf_router.settings.values import ClusterConfig

_CONVERTER = re.compile(r"<(?:(\w+):)?\w+>")


def remedy(config: ClusterConfig, unit: UnitOfWork) -> str:
    """Return how all reads of the request of `unit` come to the primary: a line of settings.py, below GMF_ROUTER.

    No line is told for a route that other pages have too, such as a CMS' for all of its pages: it would send the whole
    site to the primary.
    """
    pattern = pattern_for(unit)
    entry = f"GMF_ROUTER[{quoted(config.primary).removeprefix('r')}]"
    if catches_others(pattern, unit):
        instead = "say use_primary() in the view: a pattern of its route would match other pages too"
        return f"To send all its reads there, {instead}. To allow it, add {entry}{_allowing(config, quoted(pattern))}"
    line = f'{entry}.setdefault("DB_CHOOSER", {{}}).setdefault("master", []).append({quoted(pattern)})'
    text = f"To send all its reads there, add {line}"
    if "DATABASE_REPLICA_URLS" in os.environ:
        return f"{text} or, as one more line of GMF_DB_CHOOSER_MASTER, {pattern}"
    return text


def pattern_for(unit: UnitOfWork) -> str:
    """Return a pattern that matches the request of `unit`: its route, or where that fails its very path."""
    subject = f"{unit.method} {unit.path}"
    route = _route(unit.request)
    if route is not None:
        pattern = f"{_methods(unit.method)} {re.escape(get_script_prefix())}{route}$"
        if _matches(pattern, subject):
            return pattern
    return f"{_methods(unit.method)} {re.escape(unit.path or '')}$"


def view_of(unit: UnitOfWork) -> str | None:
    """Return the route of the view that serves `unit`, None where no view was found."""
    match = getattr(unit.request, "resolver_match", None)
    return None if match is None else match.route


def quoted(pattern: str) -> str:
    """Return `pattern` as a raw Python string where that is possible."""
    return repr(pattern) if '"' in pattern or pattern.endswith("\\") else f'r"{pattern}"'


def one_line(text: str) -> str:
    """Return a text for the log in one line: a path may hold what a browser writes as %0A, and forge another one."""
    return " ".join(text.split())


def _methods(method: str | None) -> str:
    # HEAD runs the GET view.
    return "(GET|HEAD)" if method in {"GET", "HEAD"} else str(method)


def _route(request: HttpRequest | None) -> str | None:
    match = getattr(request, "resolver_match", None)
    if match is None or not match.route:
        return None
    if "(?P" in match.route or "^" in match.route:  # re_path(): an expression already
        return str(match.route).replace("^", "").rstrip("$")
    known = converters.get_converters()
    parts, position = [], 0
    for found in _CONVERTER.finditer(match.route):
        converter = known.get(found[1] or "str")
        parts += [
            re.escape(match.route[position : found.start()]),
            converter.regex if converter else r"[^/]+",
        ]
        position = found.end()
    return "".join((*parts, re.escape(match.route[position:])))


def _allowing(config: ClusterConfig, pattern: str) -> str:
    """Return what allows writes by a `pattern` and leaves all else that UNEXPECTED_WRITES says as it is."""
    writes = config.unexpected_writes
    if writes.allow or writes.warn or writes.refuse:
        return f'["UNEXPECTED_WRITES"].setdefault("allow", []).append({pattern})'
    others = '"refuse": [""], ' if writes.otherwise == "refuse" else ""
    return f'["UNEXPECTED_WRITES"] = {{{others}"allow": [{pattern}]}}'


def catches_others(pattern: str, unit: UnitOfWork) -> bool:
    """Return whether `pattern` matches pages at the site's root, or of its admin, besides that of `unit`."""
    root = get_script_prefix()
    language = get_language_from_path(unit.path or "")
    pages = [root, *(f"{root}{language}/" for _ in [language] if language)]
    # However deep: some catch one name, some any.
    pages += [f"{page}{below}" for page in pages for below in ("x", "x/", "x/y", "x/y/")]
    with suppress(NoReverseMatch):
        pages.append(reverse("admin:index"))
    return any(page != unit.path and _matches(pattern, f"{unit.method} {page}") for page in pages)


def _matches(pattern: str, subject: str) -> bool:
    try:
        return re.match(pattern, subject) is not None
    except re.error:
        return False
