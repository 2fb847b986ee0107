"""Does the README read well where nothing else of the project is shown, and where does its metadata lead?"""

from __future__ import annotations

import re
from runpy import run_path

import pytest

from tests.unit.docs.pages import ROOT, text_of

SETUP = run_path(str(ROOT / "setup.py"))
HOME = "https://home.invalid/router"
RELATIVE = re.compile(r"\]\((?!https?:|#)|(?:src|href|srcset)=\"(?!https?:|#)")


def described(readme: str, home: str = "") -> str:
    return str(SETUP["description"](readme, home, "v1.0.0"))


@pytest.mark.parametrize("home", ["", HOME])
def test_no_link_of_the_readme_is_relative_where_only_the_readme_is_shown(home: str) -> None:
    outside_of_code = SETUP["FENCED"].split(described(text_of("README.md"), home))[::2]
    assert RELATIVE.findall("".join(outside_of_code)) == []


def test_without_a_home_links_are_text_and_pictures_are_left_out() -> None:
    readme = "See [the limits](docs/limits.md#a) and [here](#start).\n![A page](docs/page.png)\n"
    assert described(readme) == f"See the limits and [here](#start).\n\n\n{SETUP['WITHOUT_HOME']}"


def test_with_a_home_links_lead_to_the_files_of_the_release() -> None:
    readme = "[limits](docs/limits.md#a) ![A page](docs/page.png) [elsewhere](https://docs.invalid/x)"
    assert described(readme, HOME) == (
        f"[limits]({HOME}/blob/v1.0.0/docs/limits.md#a) ![A page]({HOME}/raw/v1.0.0/docs/page.png) "
        "[elsewhere](https://docs.invalid/x)"
    )


@pytest.mark.parametrize("home", ["", HOME])
def test_code_of_the_readme_stays_as_it_is(home: str) -> None:
    code = "```python\nfound = names[index](argument)\n```"
    assert code in described(f"Text\n\n{code}\n\nmore", home)


def test_addresses_are_known_with_a_home_alone() -> None:
    assert dict(SETUP["urls"]("", "v1.0.0")) == {}
    assert dict(SETUP["urls"](HOME, "v1.0.0"))["Changelog"] == f"{HOME}/blob/v1.0.0/CHANGELOG.md"
