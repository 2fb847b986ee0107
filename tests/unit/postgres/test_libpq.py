"""Do both drivers tell which keywords their libpq knows?"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

from django_gmf_router.postgres.libpq import KEYWORDS_SINCE, is_keyword

VERSIONS = {"psycopg": "psycopg.pq:version", "psycopg2": "psycopg2.extensions:libpq_version"}


def libpq_of(name: str) -> int:
    """Return the major version of the libpq that a driver is built with."""
    module, _, function = VERSIONS[name].partition(":")
    return int(getattr(import_module(module), function)()) // 10000


# A site has one of them, and so has one environment of the matrix.
DRIVERS = [pytest.param(import_module(name), libpq_of(name), id=name) for name in VERSIONS if find_spec(name)]


@pytest.mark.parametrize(("driver", "_version"), DRIVERS)
def test_libpq_tells_its_keywords_from_the_drivers_and_djangos(driver: Any, _version: int) -> None:
    assert all(is_keyword(name, driver) for name in ("sslmode", "sslrootcert", "keepalives_idle", "passfile"))
    others = ("pool", "isolation_level", "server_side_binding", "cursor_factory", "", "sslmode=x host", "ssl mode")
    assert not any(is_keyword(name, driver) for name in others)


@pytest.mark.parametrize(("driver", "version"), DRIVERS)
def test_every_newer_keyword_is_one_of_a_libpq_that_is_new_enough(driver: Any, version: int) -> None:
    known = {name for name in KEYWORDS_SINCE if is_keyword(name, driver)}
    assert known == {name for name, since in KEYWORDS_SINCE.items() if since <= version}
