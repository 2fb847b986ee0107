"""Do the pictures show what the code and the pages say, and is each one described where it stands?"""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from django_gmf_router.management.commands.gmf_status import COLUMNS, USUAL
from django_gmf_router.routing.rules import RULES
from tests.pictures import PICTURES, architecture, election, figures, terminal
from tests.unit.docs.pages import ROOT, names, section, table, text_of

SVG = "{http://www.w3.org/2000/svg}"
IMAGE = re.compile(r"!\[(?P<described>[^\]]*)\]\((?P<path>[^)]+)\)")
ARCHITECTURE = "docs/explanation/reference-architecture.md"


def written(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("path", PICTURES)
def test_a_picture_is_what_would_be_drawn_now(path: str) -> None:
    assert written(path) == PICTURES[path](), f"{path} is not what its data say: make pictures"


def test_the_tree_of_rules_asks_each_rule_in_the_order_of_the_policy() -> None:
    shown = texts(written("docs/images/rules.svg"))
    numbers = list(dict.fromkeys(str(rule.number) for rule in RULES))
    assert [text for text in shown if re.fullmatch(r"\d+\w?", text)] == numbers
    reasons = {rule.reason for rule in RULES}
    answers = [
        (role, reason) for role, reason in pairwise(shown) if role in {"primary", "replica"} and reason in reasons
    ]
    assert answers[: len(RULES)] == [(str(rule.role), rule.reason) for rule in RULES]


def test_the_election_is_the_one_that_the_page_measured() -> None:
    rows = {first: behind_haproxy for first, behind_haproxy, _ in table(election.PAGE, election.HEADING)}
    told = election.measured()
    assert rows["a new leader after"] == f"{told.soonest:g} to {told.latest:g} s"
    assert rows["a write is taken again, after the election"] == f"{told.write_after:g} s at most"
    assert rows["writes answered 200, of them lost"] == f"{told.taken}, {told.lost}"
    assert rows["`GET`s, of them failed"] == f"{told.gets}, {told.failed}"


def test_each_fault_of_the_figures_is_drawn() -> None:
    assert len(figures.measured()) == section(figures.PAGE, figures.HEADING).count("\n| ") - 1
    assert figures.bound() == 3


def test_the_ports_and_files_of_the_architecture_are_those_of_its_page() -> None:
    shown = " ".join(texts(architecture.drawn()))
    ports = {port for _, _, ports, *_ in table(ARCHITECTURE, "## Who talks to whom") for port in ports.split(", ")}
    assert set(re.findall(r":(\d+)", shown)) == ports - {"443"}
    files = set(re.findall(r"\b[\w.-]+\.(?:cfg|conf\.py|conf|env|yml|py)\b", shown))
    written_by_gmf_services = {"pg_service.conf"}
    examples = {path.name for path in (ROOT / "docs/examples/ha").iterdir()}
    assert files - written_by_gmf_services
    assert files <= examples | written_by_gmf_services


def test_the_terminal_shows_a_lagging_replica_as_the_command_prints_it_now() -> None:
    svg = written(terminal.LAGGING)
    command, head, *nodes = (ET.fromstring(svg).findtext(f"{SVG}desc") or "").split("\n")
    assert command == f"$ {terminal.COMMAND}"
    assert head.split() == [column for column in COLUMNS if column not in USUAL]
    assert [node.split()[:3] for node in nodes[:3]] == [
        ["default", "primary", "up"],
        ["replica_1", "replica", "up"],
        ["replica_2", "replica", "lagging"],
    ]


def test_the_terminal_is_drawn_from_what_was_printed() -> None:
    svg = written(terminal.LAGGING)
    printed = (ET.fromstring(svg).findtext(f"{SVG}desc") or "").partition("\n")[2]
    uncoloured = re.compile(r' fill="#\w+"')
    assert uncoloured.sub("", svg) == uncoloured.sub("", terminal.drawn(printed))


def test_the_colours_of_a_terminal_are_those_that_were_printed() -> None:
    svg = terminal.drawn("state\n\x1b[33;1mlagging\x1b[0m  21 s\n")
    found = {element.text: element.get("fill") for element in ET.fromstring(svg).iter(f"{SVG}text")}
    assert found == {
        f"$ {terminal.COMMAND}": terminal.PLAIN,
        "state": terminal.PLAIN,
        "lagging": terminal.COLOURS["33"],
        "21 s": terminal.PLAIN,
    }


@pytest.mark.parametrize("page", names())
def test_each_picture_of_a_page_exists_and_is_described(page: str) -> None:
    found = [(image["path"], image["described"]) for image in IMAGE.finditer(text_of(page))]
    images = [(path, described) for path, described in found if "://" not in path]
    assert [path for path, _ in images if not ((ROOT / page).parent / path).is_file()] == []
    assert [path for path, described in images if len(described.split()) < 3] == []


def test_each_picture_is_on_a_page() -> None:
    shown = {
        ((ROOT / page).parent / image["path"]).resolve() for page in names() for image in IMAGE.finditer(text_of(page))
    }
    stored = {
        path for kind in ("svg", "png") for path in (ROOT / "docs").rglob(f"*.{kind}") if "_build" not in path.parts
    }
    assert stored - shown == set()
