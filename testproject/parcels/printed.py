"""How does a map look on paper?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from django.contrib.gis.geos import Polygon

from testproject.parcels.models import Parcel, PrintJob

WIDTH, MARGIN, HEAD = 800, 20, 40


def picture(job: PrintJob, parcels: Iterable[Parcel]) -> str:
    """Return the parcels of the job's area as SVG, under its title."""
    west, south, east, north = job.area.extent
    units = WIDTH / (east - west or 1)
    stretch = 1 / math.cos(math.radians((south + north) / 2))
    height = (north - south) * units * stretch

    def path(polygon: Polygon) -> Iterator[str]:
        for ring in polygon.coords:
            points = (f"{(lon - west) * units:.1f} {(north - lat) * units * stretch:.1f}" for lon, lat in ring)
            yield f"M{'L'.join(points)}Z"

    drawn = "".join(line for parcel in parcels for line in path(parcel.geom))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * MARGIN} {height + 2 * MARGIN + HEAD:.0f}">'
        f'<text x="{MARGIN}" y="{MARGIN + 20}" font-family="sans-serif" font-size="22">{escape(job.title)}</text>'
        f'<svg x="{MARGIN}" y="{MARGIN + HEAD}" width="{WIDTH}" height="{height:.0f}">'
        f'<path d="{drawn}" fill="#eee" stroke="#333"/></svg></svg>\n'
    )
