"""How is a picture of the documents drawn? As an SVG that can be read on a phone, on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

Anchor = Literal["start", "middle", "end"]

WIDTH = 480
"""As wide as most pictures are: on a phone of 400 pixels they shrink by a quarter, and 13 pixels are still 10."""
SIZE = 13
FONT, MONOSPACED = "sans-serif", "monospace"
STYLE = """
    .panel { fill: #ffffff; stroke: #b0bec5 }
    .plain { fill: #fafafa } .site { fill: #e3f2fd } .proxy { fill: #ede7f6 }
    .cache { fill: #fbe9e7 } .map { fill: #fffde7 }
    .primary { fill: #fff3e0 } .replica { fill: #e8f5e9 } .refused { fill: #ffcdd2 } .unsure { fill: #ffe0b2 }
    .strong { fill: #1565c0 }
    .box { stroke: #37474f; stroke-width: 1.2 }
    .way, .line { stroke: #37474f; stroke-width: 1.5; fill: none }
    .way { marker-end: url(#tip) }
    .dashed { stroke-dasharray: 5 4 }
    .scale { stroke: #cfd8dc; fill: none }
    .marked { stroke: #2e7d32; stroke-width: 3; fill: none }
    #tip path { fill: #37474f }
    text { fill: #263238 }
    text.quiet { fill: #546e7a }
    @media (prefers-color-scheme: dark) {
      .panel { fill: #1c2227; stroke: #546e7a }
      .plain { fill: #2b3339 } .site { fill: #1b3448 } .proxy { fill: #3a2d57 }
      .cache { fill: #4d2a22 } .map { fill: #403c17 }
      .primary { fill: #4a3413 } .replica { fill: #1f3d23 } .refused { fill: #6b2327 } .unsure { fill: #5d4212 }
      .strong { fill: #64b5f6 }
      .box { stroke: #b0bec5 }
      .way, .line { stroke: #cfd8dc }
      .scale { stroke: #455a64 }
      .marked { stroke: #81c784 }
      #tip path { fill: #cfd8dc }
      text { fill: #eceff1 }
      text.quiet { fill: #b0bec5 }
    }
"""
"""The panel has its own background: a page whose colours are not those of the system can be read as well."""
TIP = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" '
    'markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"/></marker></defs>'
)


class Picture:
    """What is drawn so far. Kinds are the classes of STYLE."""

    def __init__(self, title: str, told: str, *, width: float = WIDTH) -> None:
        """Begin with what is read out instead of the picture: its title, and `told`, what it shows."""
        self._title, self._told, self._width = title, told, width
        self._elements: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, kind: str, *, radius: float = 6) -> None:
        """Draw a box with an edge."""
        self._rectangle(x, y, width, height, f"{kind} box", radius)

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """Draw a box without an edge."""
        self._rectangle(x, y, width, height, kind, 2)

    def circle(self, x: float, y: float, radius: float, kind: str) -> None:
        """Draw a circle with an edge."""
        self._elements.append(f'<circle class="{kind} box" cx="{x:g}" cy="{y:g}" r="{radius:g}"/>')

    def way(self, path: str, kind: str = "way") -> None:
        """Draw a line along an SVG path; with the kind `way` its end is an arrow."""
        self._elements.append(f'<path class="{kind}" d="{path}"/>')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SIZE,
        anchor: Anchor = "start",
        bold: bool = False,
        kind: str = "",
        font: str = FONT,
    ) -> None:
        """Write a line whose letters stand on y."""
        attributes = f'x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}"'
        attributes += ' font-weight="bold"' if bold else ""
        attributes += f' font-family="{font}"' if font != FONT else ""
        attributes += f' class="{kind}"' if kind else ""
        self._elements.append(f"<text {attributes}>{escape(text)}</text>")

    def lines(self, x: float, y: float, lines: list[str], *, size: float = SIZE, anchor: Anchor = "start") -> None:
        """Write lines; the letters of the first stand on y."""
        for number, line in enumerate(lines):
            self.text(x, y + number * line_height(size), line, size=size, anchor=anchor)

    def drawn(self, height: float) -> str:
        """Return the picture as a file."""
        return "\n".join([*self._head(height), *self._elements, "</svg>", ""])

    def _head(self, height: float) -> Iterator[str]:
        size = f'viewBox="0 0 {self._width:g} {height:g}" width="{self._width:g}" height="{height:g}"'
        spoken = 'role="img" aria-labelledby="title told"'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} {spoken} font-family="{FONT}">'
        yield f'<title id="title">{escape(self._title)}</title>'
        yield f'<desc id="told">{escape(self._told)}</desc>'
        yield f"<style>{STYLE}</style>"
        yield TIP
        yield f'<rect class="panel" x="0.5" y="0.5" width="{self._width - 1:g}" height="{height - 1:g}" rx="8"/>'

    def _rectangle(self, x: float, y: float, width: float, height: float, kind: str, radius: float) -> None:
        place = f'x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" rx="{radius:g}"'
        self._elements.append(f"<rect class={quoteattr(kind)} {place}/>")


def line_height(size: float = SIZE) -> float:
    """Return how far two lines are apart."""
    return round(size * 1.3)


def width_of(text: str, size: float = SIZE) -> float:
    """Return about how wide a text is in the widest of the usual fonts, DejaVu Sans."""
    return sum(0.38 if letter in " .,:;'|!()ijlft" else 0.92 if letter in "mwMW" else 0.65 for letter in text) * size


def wrapped(text: str, width: float, size: float = SIZE) -> list[str]:
    """Return the text in lines of `width` at most; a longer word has a line of its own."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
