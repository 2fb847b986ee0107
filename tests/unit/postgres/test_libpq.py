"""Do both drivers tell which keywords their libpq knows?"""

from __future__ import annotations

from typing import Any

import psycopg
import psycopg2
import psycopg2.extensions
import pytest

from django_gmf_router.postgres.libpq import KEYWORDS_SINCE, is_keyword

DRIVERS = [
    pytest.param(psycopg, psycopg.pq.version() // 10000, id="psycopg"),
    pytest.param(psycopg2, psycopg2.extensions.libpq_version() // 10000, id="psycopg2"),
]


@pytest.mark.parametrize(("driver", "_version"), DRIVERS)
def test_libpq_tells_its_keywords_from_the_drivers_and_djangos(driver: Any, _version: int) -> None:
    assert all(is_keyword(name, driver) for name in ("sslmode", "sslrootcert", "keepalives_idle", "passfile"))
    others = ("pool", "isolation_level", "server_side_binding", "cursor_factory", "", "sslmode=x host", "ssl mode")
    assert not any(is_keyword(name, driver) for name in others)


@pytest.mark.parametrize(("driver", "version"), DRIVERS)
def test_every_newer_keyword_is_one_of_a_libpq_that_is_new_enough(driver: Any, version: int) -> None:
    known = {name for name in KEYWORDS_SINCE if is_keyword(name, driver)}
    assert known == {name for name, since in KEYWORDS_SINCE.items() if since <= version}
