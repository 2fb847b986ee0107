"""Can the files for a public forge be read, and do they call only what there is?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.docs.pages import ROOT, text_of

FORGE = ROOT / ".github"
WORKFLOWS = sorted((FORGE / "workflows").glob("*.yml"))
FORMS = sorted((FORGE / "ISSUE_TEMPLATE").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):(?=.*## )", text_of("Makefile"), re.MULTILINE))


def loaded(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in loaded(path)["jobs"].values():
        yield from job["steps"]


def made(text: str) -> list[str]:
    """The targets that a script makes."""
    return re.findall(r"^ *(?:nice )?make (\S+)", text, re.MULTILINE)


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, *FORMS, FORGE / "dependabot.yml", ROOT / ".readthedocs.yaml"], ids=lambda path: path.name
)
def test_a_file_for_the_forge_can_be_read(path: Path) -> None:
    assert loaded(path)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_makes_only_targets_that_there_are(path: Path) -> None:
    found = [target for step in steps(path) for target in made(step.get("run", ""))]
    assert found
    assert set(found) <= TARGETS


def test_ci_makes_only_targets_that_there_are() -> None:
    code = "\n".join(line for line in text_of(".ci/run").splitlines() if not line.lstrip().startswith("#"))
    assert {target for target in made(code) if not target.startswith(".venv/")} <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_alone_but_for_the_job_that_publishes(path: Path) -> None:
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    extra = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert extra == ({"publish": {"id-token": "write"}} if path.stem == "publish" else {})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_named_by_commit_but_for_the_one_whose_branch_is_its_release(path: Path) -> None:
    moving = [step["uses"] for step in steps(path) if "uses" in step and not re.search(r"@[0-9a-f]{40}$", step["uses"])]
    assert moving == (["pypa/gh-action-pypi-publish@release/v1"] if path.stem == "publish" else [])


def test_what_is_published_was_checked_first_and_runs_on_tags_alone() -> None:
    workflow = loaded(FORGE / "workflows" / "publish.yml")
    # YAML 1.1 reads the word `on` as true.
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    assert [target for step in workflow["jobs"]["build"]["steps"] for target in made(step.get("run", ""))] == [
        "release",
        "package",
    ]
    assert workflow["jobs"]["publish"]["needs"] == "build"


def test_the_servers_are_tested_from_the_oldest_that_postgresql_supports_to_the_newest() -> None:
    job = loaded(FORGE / "workflows" / "tests.yml")["jobs"]["postgresql"]
    assert job["strategy"]["matrix"]["postgresql"] == ["14", "15", "16", "17", "18"]


def test_the_programs_of_the_servers_job_are_those_of_ci() -> None:
    (script,) = (step["run"] for step in steps(FORGE / "workflows" / "tests.yml") if "apt-get" in step.get("run", ""))
    named = script.partition("--no-install-recommends")[2].replace("\\\n", " ").split()
    needed = re.search(r"^packages=\(([^)]*)\)", text_of(".ci/run"), re.MULTILINE)
    assert needed is not None
    # What browsers and elections need is tested elsewhere; PostGIS is that of the image's server.
    assert {*needed[1].split()} - {*named} <= {"postgresql-postgis", "chromium", "etcd-server"}


def test_who_reports_a_bug_is_asked_for_what_explains_it() -> None:
    asked = {field["id"]: field for field in loaded(FORGE / "ISSUE_TEMPLATE" / "bug.yml")["body"] if "id" in field}
    for name, command in (("explain", "gmf_explain"), ("status", "gmf_status --json")):
        assert command in asked[name]["attributes"]["label"]
        assert asked[name]["validations"]["required"] is True


def test_the_documents_are_built_with_what_is_required_there() -> None:
    build = loaded(ROOT / ".readthedocs.yaml")
    required, package = build["python"]["install"]
    assert (ROOT / required["requirements"]).is_file()
    assert package == {"method": "pip", "path": "."}
    assert (ROOT / build["sphinx"]["configuration"]).is_file()
    assert build["sphinx"]["fail_on_warning"] is True
