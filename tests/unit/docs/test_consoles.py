"""Does each command that a page shows exist, with these options, and is each file of a page one of its kind?"""

from __future__ import annotations

import json
import re
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError

from django_gmf_router.replicas.health import ORDER
from django_gmf_router.testing.plugin import refuse
from django_gmf_router.views import health
from tests.cluster import programs
from tests.unit.docs.pages import ROOT, Block, all_blocks, arguments_of, blocks, commands_of

EXTRAS = re.compile(r"\[([a-z0-9_,]+)\]\"?$")


def commands() -> list[tuple[Block, list[str]]]:
    """Each command, in words, and the block in which it stands."""
    return [(block, words) for block in all_blocks("console") for words in commands_of(block)]


def managed() -> list[Any]:
    found = [(block, arguments) for block, words in commands() if (arguments := arguments_of(words))]
    return [pytest.param(arguments, id=f"{block}: {' '.join(arguments)}") for block, arguments in found]


def command_of(name: str) -> BaseCommand:
    home = get_commands()[name]
    return home if isinstance(home, BaseCommand) else load_command_class(home, name)


@pytest.mark.parametrize("arguments", managed())
def test_a_management_command_takes_what_a_page_gives_it(arguments: list[str]) -> None:
    name, *options = arguments
    try:
        command_of(name).create_parser("manage.py", name).parse_args(options)
    except CommandError as error:
        pytest.fail(f"manage.py {' '.join(arguments)}: {error}")


def test_what_a_page_makes_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {
        (str(block), words[at + 1]) for block, words in commands() for at, word in enumerate(words) if word == "make"
    }
    assert len(made) > 10
    assert {each for each in made if each[1] not in targets} == set()


def test_the_extras_that_a_page_installs_are_there() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = {
        (str(block), extra)
        for block, words in commands()
        if "install" in words
        for word in words
        for extras in EXTRAS.findall(word)
        for extra in extras.split(",")
    }
    assert len(named) > 5
    assert {each for each in named if each[1] not in setup["options.extras_require"]} == set()


@pytest.mark.parametrize("block", all_blocks("ini"), ids=str)
def test_an_ini_file_is_one(block: Block) -> None:
    text = block.text if "[" in block.text else f"[environment]\n{block.text}"
    parser = ConfigParser(strict=False, interpolation=None)
    parser.read_string(text)
    assert any(parser[name] for name in parser.sections())


@pytest.mark.parametrize("block", all_blocks("yaml"), ids=str)
def test_a_yaml_file_is_one(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


@pytest.mark.parametrize("block", all_blocks("xml"), ids=str)
def test_an_xml_file_is_one(block: Block) -> None:
    assert ET.fromstring(block.text).attrib


def test_prometheus_takes_the_configuration_of_the_page(tmp_path: Path) -> None:
    if lacking := programs.missing("promtool"):
        refuse(f"{__name__} needs {lacking}")
    (block,) = blocks("docs/how-to/metrics-and-alerts.md", "yaml")
    file = tmp_path / "prometheus.yml"
    file.write_text(block.text)
    command = [str(programs.find("promtool")), "check", "config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_health_that_the_page_shows_is_made_of_the_words_that_there_are() -> None:
    (block,) = blocks("docs/reference/http.md", "json")
    told = json.loads(block.text)
    checks = told["checks"].values()
    assert {told["status"], *(check["status"] for check in checks)} <= set(health.STATUS_OF.values()) | {"degraded"}
    assert {check["state"] for check in checks if "state" in check} <= set(ORDER)
