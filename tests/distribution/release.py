"""Do the version, the changelog, the tag and the tree agree, so that this commit can be released?"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from django_gmf_router import __version__

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.compile(r"\d+\.\d+\.\d+(rc\d+)?")
SECTION = re.compile(r"^## (?P<version>\S+)(?: - (?P<date>\S+))?\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What git knows of the tree."""

    tags_here: frozenset[str]
    """Of the commit that is checked out."""
    tags: frozenset[str]
    changed: tuple[str, ...]
    """Files that no commit has as they are."""

    @classmethod
    def of(cls, root: Path) -> Checkout:
        """Ask git."""

        def git(*arguments: str) -> list[str]:
            done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
            return done.stdout.splitlines()

        return cls(
            tags_here=frozenset(git("tag", "--points-at", "HEAD")),
            tags=frozenset(git("tag")),
            changed=tuple(git("status", "--porcelain")),
        )


def problems(version: str, changelog: str, checkout: Checkout, today: date) -> Iterator[str]:
    """Yield what does not agree, a sentence each."""
    if not VERSION.fullmatch(version):
        yield f"__version__ is {version!r}: write 1.2.3 or 1.2.3rc1."
    yield from _problems_of_changelog(version, changelog, today)
    tag = f"v{version}"
    yield from (f"This commit has the tag {other}, and __version__ is {version}." for other in _others(checkout, tag))
    if tag in checkout.tags - checkout.tags_here:
        yield f"Another commit has the tag {tag}: it is released, so raise __version__."
    if checkout.changed:
        yield f"The tree is not clean: {', '.join(line[3:] for line in checkout.changed)}."


def _problems_of_changelog(version: str, changelog: str, today: date) -> Iterator[str]:
    sections = [
        found for found in SECTION.finditer(changelog) if found["version"] != "Unreleased" or found["text"].strip()
    ]
    newest = sections[0] if sections else None
    if newest is None or newest["version"] != version:
        yield f"CHANGELOG.md begins with {newest['version'] if newest else 'nothing'}, and __version__ is {version}."
        return
    try:
        day = date.fromisoformat(newest["date"] or "")
    except ValueError:
        yield f"CHANGELOG.md gives {version} no date: write '## {version} - {today}'."
    else:
        if day > today:
            yield f"CHANGELOG.md dates {version} {day}, which is yet to come."
    if not newest["text"].strip():
        yield f"CHANGELOG.md says nothing of {version}."


def _others(checkout: Checkout, tag: str) -> list[str]:
    return sorted(other for other in checkout.tags_here if re.match(r"v\d", other) and other != tag)


def main() -> int:
    """Print what does not agree and return 1, or what comes next."""
    checkout = Checkout.of(ROOT)
    found = list(problems(__version__, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), checkout, date.today()))  # noqa: DTZ011  the day that is written here
    print(*found, sep="\n", end="\n" if found else "")
    if found:
        return 1
    tag = f"v{__version__}"
    print(f"{tag}: version, changelog, tag and tree agree.")
    if tag not in checkout.tags:
        print(f"Next: git tag --annotate {tag}, and push it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
