"""What can setup.cfg not say? Where the project has its home: in the metadata, and in the links of the README."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path

ROOT = Path(__file__).parent
HOME = "GMF_HOME_URL"
"""The variable that names the home of the sources, as the workflow that publishes sets it; without it there is none."""
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
RELATIVE = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?!\w+:|#)[^)\s]+)\)")
WITHOUT_HOME = "The pages that this text speaks of are in the source distribution, below `docs/`.\n"


def description(readme: str, home: str, tag: str) -> str:
    """Return the README as it is shown where the other files are not: its links lead to `home`, or are plain text."""
    # Every second part is a block of code.
    parts = [part if number % 2 else _linked(part, home, tag) for number, part in enumerate(FENCED.split(readme))]
    return "".join(parts) if home else "".join([*parts, "\n", WITHOUT_HOME])


def urls(home: str, tag: str) -> Iterator[tuple[str, str]]:
    """Yield the project's addresses by their labels, none without a home."""
    if home:
        yield "Homepage", home
        yield "Documentation", f"{home}/blob/{tag}/docs/index.md"
        yield "Changelog", f"{home}/blob/{tag}/CHANGELOG.md"
        yield "Issues", f"{home}/issues"


def _linked(text: str, home: str, tag: str) -> str:
    def link(found: re.Match[str]) -> str:
        if not home:
            return "" if found["image"] else found["text"]
        kind = "raw" if found["image"] else "blob"
        return f"{found['image']}[{found['text']}]({home}/{kind}/{tag}/{found['target']})"

    return RELATIVE.sub(link, text)


def main() -> None:
    """Add to setup.cfg what depends on the home."""
    from setuptools import setup  # noqa: PLC0415  the tests of what stands above need none

    home = os.environ.get(HOME, "").rstrip("/")
    tag = f"v{run_path(str(ROOT / 'django_gmf_router' / '__init__.py'))['__version__']}"
    setup(
        long_description=description((ROOT / "README.md").read_text(encoding="utf-8"), home, tag),
        long_description_content_type="text/markdown",
        project_urls=dict(urls(home, tag)),
    )


if __name__ == "__main__":
    main()
