"""Does the guard explain a refused write of a replica, and leave alone what is not its own?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import InternalError
from django.test import override_settings

from django_gmf_router.backends.cursors import guard_connection
from django_gmf_router.postgres.sqlstates import READ_ONLY_SQL_TRANSACTION
from tests.conftest import OpenUnit

INSERT = 'INSERT INTO "library_author" ("name") VALUES (%s)'


class DriverError(Exception):
    """What a driver raises; psycopg2 says `pgcode`."""

    def __init__(self, sqlstate: str, attribute: str = "sqlstate") -> None:
        super().__init__("refused")
        setattr(self, attribute, sqlstate)


def guarded(alias: str) -> Any:
    """Return the guard of a connection that is opened now, or none."""
    connection = SimpleNamespace(alias=alias, vendor="sqlite", execute_wrappers=[])
    guard_connection(connection)  # type: ignore[arg-type]
    return next(iter(connection.execute_wrappers), lambda execute, *args: execute(*args))


def said(cause: Exception | None, alias: str = "replica_1") -> str:
    """Return the error that comes out of the guard, and what it adds."""

    def refuse(*args: Any) -> None:
        raise InternalError("refused") from cause

    with pytest.raises(InternalError) as caught:
        guarded(alias)(refuse, INSERT, None, False, {"connection": SimpleNamespace(alias=alias)})
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


@pytest.mark.parametrize("attribute", ["sqlstate", "pgcode"])
def test_outside_requests_the_primarys_alias_is_the_remedy_and_logged(
    attribute: str, caplog: pytest.LogCaptureFixture
) -> None:
    note = (
        "The alias 'replica_1' is a replica, and INSERT library.Author writes. "
        "Use the alias 'default', or use_primary()."
    )
    assert said(DriverError(READ_ONLY_SQL_TRANSACTION, attribute)) == f"refused\n{note}"
    (record,) = caplog.records
    assert (record.event, record.levelname, record.getMessage()) == ("refused_write", "WARNING", note)  # type: ignore[attr-defined]


def test_in_a_request_that_asked_for_the_alias_by_name_the_query_is_to_blame(
    open_request: OpenUnit, caplog: pytest.LogCaptureFixture
) -> None:
    with open_request("GET", "/page"):
        text = said(DriverError(READ_ONLY_SQL_TRANSACTION))
    assert not caplog.records
    assert text.startswith("refused\nGET /page: The alias 'replica_1' is a replica")
    assert text.endswith("The query names this alias: use 'default' there.")


@pytest.mark.parametrize("cause", [DriverError("25P02"), None])
def test_other_errors_of_a_replica_say_nothing_more(cause: Exception | None) -> None:
    assert said(cause) == "refused"


def test_an_alias_that_belongs_to_no_cluster_any_more_is_left_alone() -> None:
    with override_settings(GMF_ROUTER={}):
        assert said(DriverError(READ_ONLY_SQL_TRANSACTION)) == "refused"
