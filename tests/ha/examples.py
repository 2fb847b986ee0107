"""How do the tests use the files of docs/examples/ha? As they are; only the values of the .env files are their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.cluster.sites import ROOT

FOLDER = ROOT / "docs" / "examples" / "ha"


def variables(name: str, folder: Path = FOLDER) -> dict[str, str]:
    """Return the variables of an .env file, as the reader finds them."""
    lines = (folder / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled(name: str, values: Mapping[str, object]) -> dict[str, str]:
    """Return the variables of an .env file with the tests' values; each must have one, and no other may."""
    shown = set(variables(name))
    assert shown == set(values), f"{name}: {sorted(shown ^ set(values))}"
    return {key: str(value) for key, value in values.items()}
