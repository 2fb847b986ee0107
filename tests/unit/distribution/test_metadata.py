"""Does a stranger find the package by its metadata, and does it promise what is tested?"""

from __future__ import annotations

import re
from configparser import ConfigParser
from itertools import product

import pytest
import yaml

import django_gmf_router
from django_gmf_router.doctor.checks import NEWEST_DJANGO
from tests.unit.docs.pages import ROOT, names, text_of

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


@pytest.mark.parametrize("extra", SETUP["options.extras_require"])
def test_each_extra_is_for_users_whom_a_page_tells_of_it(extra: str) -> None:
    pages = " ".join(map(text_of, names()))
    assert f"extra `{extra}`" in pages or re.search(rf"\[([a-z0-9]+,)*{extra}(,[a-z0-9]+)*\]", pages)


# Django's FAQ, "What Python version can I use with Django?"
PYTHONS_OF_DJANGO = {
    "5.2": {"3.10", "3.11", "3.12", "3.13", "3.14"},
    "6.0": {"3.12", "3.13", "3.14"},
    "6.1": {"3.12", "3.13", "3.14"},
}


def promised() -> set[tuple[str, str]]:
    """The pairs of Python and Django of which both are classified, and which Django allows."""
    pythons = classified("Programming Language :: Python")
    return {
        (python, django)
        for django in classified("Framework :: Django")
        for python in pythons
        if python in PYTHONS_OF_DJANGO[django]
    }


def environment(python: str, django: str) -> str:
    return f"py{python}-django{django}".replace(".", "")


def expanded(env_list: str) -> set[str]:
    """The names of a list of tox, in which {a,b} stands for each of them."""
    found = set()
    for name in re.findall(r"(?:\{[^}]*\}|[^\s,{])+", env_list):
        parts = [part.strip("{}").split(",") for part in re.findall(r"\{[^}]*\}|[^{]+", name)]
        found |= {"".join(each) for each in product(*parts)}
    return found


def test_tox_has_an_environment_for_each_pair_that_the_classifiers_promise() -> None:
    assert expanded(SETUP["tox:tox"]["env_list"]) == {
        *(environment(*pair) for pair in promised()),
        "py311-django52-psycopg2",
    }


def test_the_workflow_tests_each_pair_that_the_classifiers_promise() -> None:
    workflow = yaml.safe_load(text_of(".github/workflows/tests.yml"))
    entries = workflow["jobs"]["matrix"]["strategy"]["matrix"]["include"]
    pairs = {(entry["python"], entry["django"]): entry["env"] for entry in entries}
    alone = pairs.pop(("3.11", "5.2, psycopg2 alone"))
    assert pairs == {pair: environment(*pair) for pair in promised()}
    assert alone == "py311-django52-psycopg2"


def test_the_newest_django_of_the_classifiers_is_the_newest_that_checks_know() -> None:
    newest = max(tuple(map(int, version.split("."))) for version in classified("Framework :: Django"))
    assert newest == NEWEST_DJANGO


def test_the_oldest_versions_of_the_classifiers_are_those_that_the_package_installs_on() -> None:
    oldest = {
        what: min(classified(what), key=lambda version: tuple(map(int, version.split("."))))
        for what in ("Programming Language :: Python", "Framework :: Django")
    }
    assert SETUP["options"]["python_requires"] == f">={oldest['Programming Language :: Python']}"
    assert SETUP["options"]["install_requires"].split() == [f"Django>={oldest['Framework :: Django']}"]
