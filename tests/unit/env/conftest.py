"""What do the tests of the environment share?"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

PASSWORD = "s3cret/p@ss:w#rd"


def env_of(variables: Mapping[str, str], **scheme: Any) -> environ.Env:
    """A django-environ Env over these variables alone."""

    class Env(environ.Env):
        ENVIRON = dict(variables)

    return Env(**scheme)


def refusal(call: Callable[[], Any]) -> str:
    """The whole traceback of the ImproperlyConfigured that `call` raises, as a log would show it."""
    with pytest.raises(ImproperlyConfigured) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message + "\n" + "".join(traceback.format_exception(caught.value))


@pytest.fixture
def vars_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(content: str) -> Path:
        path = tmp_path / "vars_office.yaml"
        path.write_text(content, encoding="utf-8")
        return path

    return write
