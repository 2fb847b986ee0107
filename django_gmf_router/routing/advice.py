"""Which DB_CHOOSER line sends this request to the primary?"""

from __future__ import annotations

import re

from django.http import HttpRequest
from django.urls import converters, get_script_prefix

from django_gmf_router.routing.unit_of_work import UnitOfWork

_CONVERTER = re.compile(r"<(?:(\w+):)?\w+>")


def master_line(primary: str, unit: UnitOfWork) -> str:
    """Return the line to add to the settings, a pattern for the view's route where one can be had."""
    return f'GMF_ROUTER[{primary!r}]["DB_CHOOSER"]["master"]: {quoted(pattern_for(unit))}'


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


def _matches(pattern: str, subject: str) -> bool:
    try:
        return re.match(pattern, subject) is not None
    except re.error:
        return False
