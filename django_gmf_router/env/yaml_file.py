"""What does a YAML file hold, with every scalar as it is written?"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from django_gmf_router.env.urls import EXTRA


def read_mapping(path: str | PathLike[str]) -> dict[str, Any]:
    """Return the mapping at the top of the file, or the one under its `vars:`; scalars are strings or None.

    Raises ImproperlyConfigured, which names the file and never repeats a line of it.
    """
    document = _parsed(_content(path), fspath(path))
    if isinstance(document, dict) and "vars" in document:
        document = document["vars"]
    if not isinstance(document, dict):
        raise ImproperlyConfigured(f"{fspath(path)} is not a mapping: write 'key: value' lines, as under 'vars:'.")
    return {str(key): value for key, value in document.items()}


def _content(path: str | PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{fspath(path)} cannot be read ({error.strerror}): correct the path or the file's mode."
        ) from None


def _parsed(content: bytes, file: str) -> Any:
    try:
        import yaml  # noqa: PLC0415 - optional
    except ImportError:
        raise ImproperlyConfigured(f"Reading {file} needs PyYAML: {EXTRA}.") from None

    class Verbatim(yaml.SafeLoader):
        """Leaves every scalar but null a string: `dbpassword: 0123` is no octal number."""

        yaml_implicit_resolvers = {
            first: [(tag, regexp) for tag, regexp in resolvers if tag in _KEPT]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    try:
        return yaml.load(content, Loader=Verbatim)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        # The error's own text repeats the line, which may hold the password.
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ImproperlyConfigured(
            f"{file} is not valid YAML{where}: quote values that hold : # @ * & or braces."
        ) from None


_KEPT = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}
