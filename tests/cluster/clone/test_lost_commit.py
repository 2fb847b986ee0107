"""What is said when the connection goes while the swap commits?"""

from __future__ import annotations

import pytest
from django.db import OperationalError

from django_gmf_router.management.commands.clone_schema import Lines
from django_gmf_router.schemas.cloning import clone
from django_gmf_router.schemas.cloning.clone_plan import CloneRequest
from django_gmf_router.schemas.session import Session
from tests.cluster.clone.databases import Database


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("committed", [True, False])
def test_whether_it_was_committed_is_asked_on_a_new_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    run, renamed = Session.run, []

    def run_and_lose(session: Session, sql: str) -> None:
        if sql.startswith("ALTER SCHEMA"):
            renamed.append(sql)
        if renamed and sql == "COMMIT":
            run(session, "COMMIT" if committed else "ROLLBACK")
            session.wrapper.close()
            raise OperationalError("server closed the connection unexpectedly")
        run(session, sql)

    monkeypatch.setattr(Session, "run", run_and_lose)
    request = CloneRequest(source="main", target="prod", keep=0)
    if committed:
        clone.clone("default", request, Lines(lambda line: None))
    else:
        with pytest.raises(OperationalError):
            clone.clone("default", request, Lines(lambda line: None))
    assert ("prod" in database.schemas()) == committed
