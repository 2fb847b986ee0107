"""Is a commit refused that cannot be released?"""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from tests.distribution.release import Checkout, problems

TODAY = date(2026, 11, 26)
CHANGELOG = (
    "# Changelog\n\nWords.\n\n## 1.0.0 - 2026-11-26\n\n### Added\n\n- All.\n\n## 0.9.0 - 2026-01-01\n\n- Less.\n"
)


def checkout(here: str = "", tags: str = "", changed: tuple[str, ...] = ()) -> Checkout:
    return Checkout(tags_here=frozenset(here.split()), tags=frozenset([*here.split(), *tags.split()]), changed=changed)


def found(version: str = "1.0.0", changelog: str = CHANGELOG, tree: Checkout | None = None) -> list[str]:
    return list(problems(version, changelog, tree or checkout(), TODAY))


@pytest.mark.parametrize("tree", [checkout(), checkout(here="v1.0.0", tags="v0.9.0"), checkout(here="beautiful")])
def test_a_commit_on_which_all_agrees_can_be_released(tree: Checkout) -> None:
    assert found(tree=tree) == []


def test_an_empty_heading_for_what_comes_next_may_stand_there() -> None:
    assert found(changelog=CHANGELOG.replace("## 1.0.0", "## Unreleased\n\n## 1.0.0")) == []


@pytest.mark.parametrize(
    ("changelog", "problem"),
    [
        (CHANGELOG.replace("## 1.0.0", "## Unreleased\n\n- New.\n\n## 1.0.0"), "begins with Unreleased"),
        (CHANGELOG.replace("1.0.0 -", "1.0.1 -"), "begins with 1.0.1"),
        ("# Changelog\n", "begins with nothing"),
        (CHANGELOG.replace(" - 2026-11-26", ""), "no date"),
        (CHANGELOG.replace("2026-11-26", "soon"), "no date"),
        (CHANGELOG.replace("2026-11-26", "2026-11-27"), "yet to come"),
        (CHANGELOG.replace("### Added\n\n- All.", ""), "says nothing"),
    ],
)
def test_the_changelog_begins_with_a_dated_section_of_the_version(changelog: str, problem: str) -> None:
    (told,) = found(changelog=changelog)
    assert problem in told


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        (checkout(here="v0.9.0"), "has the tag v0.9.0"),
        (checkout(tags="v1.0.0"), "it is released"),
        (checkout(changed=(" M setup.cfg", "?? new.py")), "not clean: setup.cfg, new.py"),
    ],
)
def test_the_tag_and_the_tree_are_those_of_the_version(tree: Checkout, problem: str) -> None:
    (told,) = found(tree=tree)
    assert problem in told


def test_a_version_is_a_final_one_or_a_candidate() -> None:
    assert found("1.0.0rc1", CHANGELOG.replace("1.0.0 -", "1.0.0rc1 -")) == []
    assert "write 1.2.3" in found("1.0", CHANGELOG.replace("1.0.0 -", "1.0 -"))[0]


def test_git_is_asked_for_tags_and_changes(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@home.invalid", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "a.txt").write_text("1")
    git("add", ".")
    git("commit", "--message", "One")
    git("tag", "v0.9.0")
    git("commit", "--allow-empty", "--message", "Two")
    git("tag", "v1.0.0")
    (tmp_path / "a.txt").write_text("2")
    assert Checkout.of(tmp_path) == Checkout(
        tags_here=frozenset({"v1.0.0"}), tags=frozenset({"v0.9.0", "v1.0.0"}), changed=(" M a.txt",)
    )
