"""In which schemas do the other services look for a table?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from django_gmf_router.conf import ClusterConfig


def search_path(cluster: ClusterConfig) -> tuple[str, ...]:
    """Answer the schemas of `SCHEMAS` in the order of PostgreSQL's search_path, none without."""
    schemas = cluster.schemas or {}
    return tuple(schemas[key] for key in ("MAIN", "STATIC", "EXTENSIONS") if schemas.get(key))


def session_option(path: Sequence[str]) -> str:
    """Answer what sets it in libpq's `options`, where a backslash keeps a space (manual, `options`)."""
    names = ",".join(name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quoted(name) for name in path)
    return "-c search_path=" + re.sub(r"([\\\s])", r"\\\1", names) if names else ""


def quoted(name: str) -> str:
    """Answer an identifier as SQL reads it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'
