"""What does a Server-Timing header say? Its grammar: https://www.w3.org/TR/server-timing/#the-server-timing-header-field."""

from __future__ import annotations

import re

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*({_TOKEN}|{_QUOTED})")
_NAME = re.compile(rf"[ \t]*({_TOKEN})")
_END = re.compile(r"[ \t]*(?:,|$)")


def entries(header: str) -> list[tuple[str, dict[str, str]]]:
    """Return the entries, name and parameters; fails where the header has another form."""
    found = []
    place = 0
    while place < len(header):
        name = _NAME.match(header, place)
        assert name is not None, header[place:]
        place = name.end()
        parameters = {}
        while (parameter := _PARAMETER.match(header, place)) is not None:
            parameters[parameter[1]] = _text(parameter[2])
            place = parameter.end()
        end = _END.match(header, place)
        assert end is not None, header[place:]
        place = end.end()
        found.append((name[1], parameters))
    return found


def _text(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
