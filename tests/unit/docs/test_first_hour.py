"""Can a newcomer paste what the first pages show, and find the page that he needs?"""

from __future__ import annotations

import ast
import configparser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import environ
import pytest
import yaml

from django_gmf_router import env as gmf_env
from django_gmf_router.settings import configuration
from tests.unit.docs.pages import ROOT, all_blocks, blocks, headings, names, text_of
from tests.unit.docs.running import PASTED

README = "README.md"
HOME = "docs/index.md"
HOW_TO = "docs/how-to/index.md"
TROUBLE = "docs/how-to/troubleshooting.md"
PACKAGE = ROOT / "django_gmf_router"
FILE = re.compile(r"# at the end of (\w+\.py)\n")
LOCAL = {
    "DATABASE_URL": "postgres://gmf:secret@127.0.0.1:15432/gmf",
    "DATABASE_REPLICA_URLS": "postgres://gmf:secret@127.0.0.1:15433/gmf",
}
NO_ISSUES = "System check identified no issues (0 silenced).\n"


# What is pasted


class Site:
    """A site that `startproject` made; processes of it see this package and nothing else of our environment."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.run("-m", "django", "startproject", "office", ".", DJANGO_SETTINGS_MODULE="")

    def run(self, *arguments: str, **variables: str) -> str:
        """Run Python in the site, and return what it prints."""
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DJANGO_SETTINGS_MODULE": "office.settings"}
        done = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=self._directory,
            env=env | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def paste(self, page: str) -> None:
        """Add each Python block of a page to the file that its first line names."""
        for block in blocks(page, "python"):
            found = FILE.match(block.text)
            assert found is not None, f"{block} does not say which file it belongs to"
            with (self._directory / "office" / found[1]).open("a", encoding="utf-8") as file:
                file.write(f"\n\n{block.text}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("page", PASTED)
def test_what_a_first_page_shows_is_pasted_into_a_new_site_and_no_check_complains(site: Site, page: str) -> None:
    site.paste(page)
    assert site.run("manage.py", "check") == NO_ISSUES


def test_where_a_local_cluster_is_named_it_counts_and_elsewhere_the_own_servers_do(site: Site) -> None:
    site.paste(README)
    code = "from django.conf import settings; print([each['HOST'] for each in settings.DATABASES.values()])"
    assert site.run("-c", code) == "['db1', 'db2', 'db3']\n"
    assert site.run("-c", code, **LOCAL) == "['127.0.0.1', '127.0.0.1']\n"
    assert site.run("manage.py", "check", **LOCAL) == NO_ISSUES


def test_the_page_of_the_readme_says_which_replica_served_it(site: Site) -> None:
    """On SQLite, where each replica is a mirror: that the same holds on servers, tests/cluster says of the tutorial."""
    site.paste(README)
    code = """
import django
from django.conf import settings
for entry in settings.DATABASES.values():
    entry.update(ENGINE="django.db.backends.sqlite3", NAME=":memory:", OPTIONS={})
django.setup()
from django.test import Client
from django.test.utils import setup_databases, setup_test_environment
setup_test_environment()
setup_databases(verbosity=0, interactive=False)
print(Client().get("/who").content.decode(), end="")
"""
    (shown,) = (block.text for block in blocks(README, "text"))
    for text in (shown, site.run("-c", code)):
        assert re.fullmatch(r"0 users, counted by replica_[12]; reason=read_method\n", text)


def test_no_page_shows_a_list_with_three_dots_as_a_setting_of_ours() -> None:
    assert [
        str(block) for block in all_blocks("python") if re.search(r"\[\.\.\., \"django_gmf_router", block.text)
    ] == []


def databases_of(variables: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    class Env(environ.Env):  # type: ignore[misc]
        ENVIRON = variables

    databases, router = gmf_env.databases(Env())
    assert list(configuration.found_in(router, databases)) == []
    return databases, router


def test_the_services_of_the_compose_file_have_a_cluster() -> None:
    (block,) = blocks("docs/how-to/containers.md", "yaml")
    services = yaml.safe_load(block.text)["services"]
    for service in services.values():
        databases, router = databases_of(service["environment"])
        assert [entry["HOST"] for entry in databases.values()] == ["db1", "db2", "db3"]
        assert router["default"]["DB_CHOOSER"]["master"] == ["(GET|HEAD) /s/.*"]
    *_, code = services["web"]["healthcheck"]["test"]
    ast.parse(code)


def test_the_environment_of_the_unit_is_a_cluster_and_each_value_is_quoted() -> None:
    unit, environment = (block.text for block in blocks("docs/how-to/systemd.md", "ini"))
    # Keys of a unit may stand there twice.
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(unit)
    assert parser["Service"]["EnvironmentFile"] == "/etc/office.env"
    assignments = [line for line in environment.splitlines() if not line.startswith("#")]
    assert [line for line in assignments if not re.fullmatch(r"\w+='[^']*'", line)] == []
    variables = dict(shlex.split(line)[0].split("=", 1) for line in assignments)
    databases, router = databases_of(variables)
    assert [entry["HOST"] for entry in databases.values()] == ["db1", "db2", "db3"]
    assert router["default"]["DB_CHOOSER"]["master"] == ["(GET|HEAD) /s/.*"]


# What is found


def toctree(page: str) -> list[str]:
    """The pages of a table of contents, as paths below the repository."""
    found = re.findall(r"(?ms)^```\{toctree\}\n(.*?)^```", text_of(page))
    entries = [line for text in found for line in text.splitlines() if line and not line.startswith(":")]
    return [str(Path(page).parent / f"{entry}.md") for entry in entries]


def test_every_page_is_in_one_table_of_contents() -> None:
    listed = [page for name in names() for page in toctree(name)]
    assert sorted([HOME, *listed]) == [page for page in names() if page.startswith("docs/")]


def test_every_how_to_page_is_listed_with_a_sentence_in_the_order_of_the_table_of_contents() -> None:
    listed = re.findall(r"(?m)^- \[[^\]]+\]\((\S+)\): \S.*", text_of(HOW_TO))
    assert [str(Path(HOW_TO).parent / page) for page in listed] == toctree(HOW_TO)


@pytest.mark.parametrize(
    "word",
    [
        *("503", "channels", "wagtail", "docker", "upgrad", "celery", "rest framework", "graphql", "sentry", "systemd"),
        *(
            "faq",
            "troubleshooting",
            "debug toolbar",
            "haproxy",
            "pgbouncer",
            "prometheus",
            "kubernetes",
            "transactions",
        ),
    ],
)
def test_a_word_that_is_searched_for_stands_in_a_heading(word: str) -> None:
    found = [
        name for name in names() for level in (1, 2, 3) for title in headings(name, level) if word in title.lower()
    ]
    assert [name for name in found if name.startswith("docs/")] != []


# What is printed


def texts_of_the_package() -> Iterator[str]:
    """Every text in the package, as a pattern: a value stands for anything."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "%s" for part in node.values]
                yield "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


VALUE = re.compile(r"%[.\d]*[a-z]")
KNOWN_BY = 15
"""Characters: a shorter text may stand anywhere."""


@cache
def messages() -> list[re.Pattern[str]]:
    """The texts of the package that are long enough to be known by."""
    parts = [VALUE.split(text.strip()) for text in texts_of_the_package()]
    return [re.compile(".+".join(map(re.escape, each))) for each in parts if len("".join(each)) >= KNOWN_BY]


DOWN = "The replica replica_1 is down: "
BY_OTHERS = "connection failed: connection refused"


def lines() -> list[str]:
    return [line for block in blocks(TROUBLE, "text") for line in block.text.splitlines()]


@pytest.mark.parametrize("line", lines())
def test_a_message_of_the_troubleshooting_page_is_one_of_the_package(line: str) -> None:
    said = line.removeprefix(DOWN)
    longest = max((len(found[0]) for message in messages() if (found := message.search(said))), default=0)
    assert said == BY_OTHERS or longest >= min(40, len(said) / 2)


def test_a_node_that_is_down_is_told_as_the_troubleshooting_page_says() -> None:
    assert f"{DOWN}{BY_OTHERS}" in lines()
    assert "%s is down: %s" in [*texts_of_the_package()]
