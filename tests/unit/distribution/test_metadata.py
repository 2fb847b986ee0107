"""Does a stranger find the package by its metadata, and does it promise what is tested?"""

from __future__ import annotations

import re
from configparser import ConfigParser

import pytest

import django_gmf_router
from tests.unit.docs.pages import ROOT, text_of

SETUP = ConfigParser(interpolation=None)
SETUP.read(ROOT / "setup.cfg")
METADATA = SETUP["metadata"]


def classified(what: str) -> list[str]:
    found = re.findall(rf"^{re.escape(what)} :: (\d+\.\d+)$", METADATA["classifiers"], re.MULTILINE)
    assert found
    return found


@pytest.mark.parametrize("search", ["django read replica", "read/write splitting", "failover", "postgresql"])
def test_what_is_searched_for_stands_in_the_summary(search: str) -> None:
    words = re.findall(r"[\w/]+", METADATA["description"].lower())
    assert [word for word in search.split() if not any(each.startswith(word) for each in words)] == []


def test_the_version_has_one_source() -> None:
    assert METADATA["version"] == "attr: django_gmf_router.__version__"
    mentions = [name for name in ("setup.cfg", "setup.py", "pyproject.toml", "docs/conf.py", "README.md")
                if django_gmf_router.__version__ in text_of(name)]  # fmt: skip
    assert mentions == []
