"""Is there a PostgreSQL server with PostGIS on this machine, and the libraries that GeoDjango needs?"""

from __future__ import annotations

import os
import subprocess
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.postgres.programs import VARIABLE

SYSTEM = Path("/usr/lib/postgresql")  # Debian and Ubuntu keep the versions side by side here
REMEDY = "apt-get install --no-install-recommends postgresql-postgis gdal-bin"


def bin_dir() -> Path | None:
    """Return the directory of the programs: GMF_PG_BINDIR, else the system's newest; None without PostGIS."""
    named = os.environ.get(VARIABLE)
    candidates = [Path(named)] if named else []
    candidates += sorted(SYSTEM.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next(filter(_has_postgis, candidates), None)


def missing() -> str | None:
    """Return what GeoDjango lacks here, None where there is nothing."""
    if bin_dir() is None:
        return f"a PostgreSQL server with PostGIS ({VARIABLE} or {SYSTEM})"
    try:
        import_module("django.contrib.gis.gdal")
    except ImproperlyConfigured:
        return "the library GDAL"
    return None


def missing_for_the_map() -> str | None:
    """Return what the demo's parcels lack here and how to get it, None where there is nothing."""
    if lacking := missing():
        return f"{lacking}: {REMEDY}"
    return None if find_spec("vectortiles") else "django-vectortiles: pip install django-vectortiles"


def _has_postgis(directory: Path) -> bool:
    program = directory / "pg_config"
    if not (directory / "postgres").exists() or not program.exists():
        return False
    share = subprocess.run([program, "--sharedir"], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    return Path(share, "extension", "postgis.control").exists()
