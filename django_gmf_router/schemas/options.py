"""How does libpq's `options` carry a search_path, so that it costs no round trip?"""

from __future__ import annotations

import re

from django_gmf_router.schemas.names import quote

_PARAMETER = "search_path"
# As the server splits `options`: at white space, unless a backslash stands before it (PostgreSQL's manual, 32.1.2).
_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_SETTING = re.compile(r"(?:-c|--)\s*search[_-]path\s*=(.*)", re.DOTALL | re.IGNORECASE)
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"\s]+))\s*(?:,|$)')


def with_search_path(options: str | None, path: tuple[str, ...]) -> str:
    """Answer `options` with a search_path of the schemas `path`; one that it has already is left."""
    if options and search_path_in(options) is not None:
        return options
    value = ",".join(quote(name) for name in path)
    ours = f"-c {_PARAMETER}=" + re.sub(r"([\\\s])", r"\\\1", value)
    return f"{options} {ours}" if options else ours


def search_path_in(options: str | None) -> tuple[str, ...] | None:
    """Answer the schemas of the search_path in `options`, None where there is none; the last of several counts."""
    words = [re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in _WORD.findall(options or "")]
    joined = [f"-c{words[place]}" if words[place - 1] == "-c" else words[place] for place in range(1, len(words))]
    found = [match[1] for word in (*words[:1], *joined) if (match := _SETTING.fullmatch(word))]
    return parse(found[-1]) if found else None


def parse(value: str) -> tuple[str, ...]:
    """Answer the schemas of a search_path as PostgreSQL reads it: names without quotes are folded."""
    names = _NAME.findall(value)
    return tuple(quoted.replace('""', '"') or plain.lower() for quoted, plain in names)
