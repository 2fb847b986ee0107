"""How does a terminal look in which `gmf_status` was called? `make screenshots` calls it, and draws what it printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

LAGGING = "docs/images/gmf-status.svg"
TITLE, COMMAND = "A replica lags", "python manage.py gmf_status"
SIZE, LETTER, LINE, MARGIN = 14, 8.43, 20, 18
"""A letter of any monospaced font is 0.602 of its size wide, near enough; `textLength` makes it so."""
PLAIN = "#eceff1"
COLOURS = {"31": "#ff8a80", "32": "#b9f6ca", "33": "#ffe57f"}
COLOUR = re.compile(r"\x1b\[([\d;]*)m")


def drawn(printed: str) -> str:
    """Return the picture of what the command printed, with its colours."""
    lines = [f"$ {COMMAND}", *printed.rstrip("\n").split("\n")]
    columns = max(len(COLOUR.sub("", line)) for line in lines)
    width, height = columns * LETTER + 2 * MARGIN, len(lines) * LINE + 2 * MARGIN
    told = escape(COLOUR.sub("", "\n".join(lines)))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
            f'height="{height}" role="img" aria-labelledby="title told" font-family="monospace" font-size="{SIZE}">',
            f'<title id="title">{escape(TITLE)}</title>',
            f'<desc id="told">{told}</desc>',
            '<rect width="100%" height="100%" rx="8" fill="#1c2227"/>',
            *(line for number, text in enumerate(lines) for line in _line(text, MARGIN + (number + 0.75) * LINE)),
            "</svg>",
            "",
        ]
    )


def _line(text: str, y: float) -> Iterator[str]:
    """Yield a text for each run of letters of one colour, where it begins: no font can move what follows."""
    column, colour = 0, PLAIN
    for place, part in enumerate(COLOUR.split(text)):
        if place % 2:
            colour = next((COLOURS[code] for code in part.split(";") if code in COLOURS), PLAIN)
            continue
        for run in re.finditer(r"\S+(?: \S+)*", part):
            x, length = MARGIN + (column + run.start()) * LETTER, len(run[0]) * LETTER
            place_of = f'x="{x:.1f}" y="{y:g}" textLength="{length:.1f}"'
            yield f'<text {place_of} fill="{colour}">{escape(run[0])}</text>'
        column += len(part)
