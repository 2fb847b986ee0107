"""Is each text that visitors and editors see there in each language, and is what is shipped what was translated?"""

from __future__ import annotations

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils.translation import override

import django_gmf_router
from django_gmf_router.exceptions import MaintenanceMode, PrimaryBusy, PrimaryUnavailable
from django_gmf_router.testing.plugin import refuse

PACKAGE = Path(django_gmf_router.__file__).parent
LANGUAGES = ("de", "fr", "it")
PLACEHOLDER = re.compile(r"%\(\w+\)s|%s|\{\w+\}|<[^>]+>")


def catalogue(language: str, place: Path = PACKAGE) -> Path:
    return place / "locale" / language / "LC_MESSAGES" / "django.po"


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package whose catalogues were made anew from its code: what is missing there has no translation."""
    if any(shutil.which(program) is None for program in ("xgettext", "msgmerge", "msgattrib", "msgfmt")):
        refuse("no gettext (Debian: apt-get install gettext)")
    copy = tmp_path_factory.mktemp("texts") / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    # As `make messages` does.
    command = [sys.executable, "-m", "django", "makemessages", "--all", "--add-location", "file", "--no-wrap"]
    env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(command, cwd=copy, env=env, check=True, capture_output=True)
    return copy


def messages(path: Path) -> dict[object, str]:
    """What a compiled catalogue holds."""
    with path.open("rb") as file:
        return dict(vars(gettext.GNUTranslations(file))["_catalog"])


def test_the_languages_are_those_that_are_promised() -> None:
    assert sorted(path.name for path in (PACKAGE / "locale").iterdir()) == sorted(LANGUAGES)


@pytest.mark.parametrize("what", ["--untranslated", "--only-fuzzy", "--only-obsolete"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_lacks_its_translation_and_none_is_left_over(language: str, what: str, extracted: Path) -> None:
    command = ["msgattrib", what, str(catalogue(language, extracted))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_texts(language: str, extracted: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "django.mo"
    subprocess.run(["msgfmt", "--check", "-o", str(compiled), str(catalogue(language))], check=True)
    assert messages(compiled) == messages(catalogue(language).with_suffix(".mo"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_has_the_placeholders_of_its_text(language: str) -> None:
    found = messages(catalogue(language).with_suffix(".mo"))
    differing = [
        text
        for text, translation in found.items()
        if text and sorted(PLACEHOLDER.findall(str(text))) != sorted(PLACEHOLDER.findall(translation))
    ]
    assert found
    assert differing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_short_words_are_translated_for_this_package_alone(language: str) -> None:
    # The catalogues of all apps are one to Django: another app's "State" is no state of a node.
    words = [str(text) for text in messages(catalogue(language).with_suffix(".mo")) if len(str(text).split()) == 1]
    assert [word for word in words if "\x04" not in word and word != "Read/write"] == []


@pytest.mark.parametrize(
    "error",
    [PrimaryUnavailable("a"), PrimaryUnavailable("a", "x", True), PrimaryBusy("a", 4), MaintenanceMode("a", "Why")],
)
def test_a_visitor_is_told_in_the_language_of_the_request_and_the_log_in_english(error: PrimaryUnavailable) -> None:
    english, logged = error.outcome, str(error)
    told = set()
    for language in LANGUAGES:
        with override(language):
            told.add(error.outcome)
            assert str(error) == logged
    assert len(told - {english}) == len(LANGUAGES)
