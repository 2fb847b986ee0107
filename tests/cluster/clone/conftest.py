"""What do the tests of clone_schema share?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.utils import ConnectionHandler

from django_gmf_router.schemas import session as clone_session
from django_gmf_router.testing import LocalCluster
from tests.cluster.clone.databases import SMALL, Database, create, drop

_numbers = itertools.count(1)


@pytest.fixture
def database(request: pytest.FixtureRequest, _gmf_session_cluster: LocalCluster) -> Iterator[Database]:
    """A database of its own for each test, with a small main schema, or what `indirect` says."""
    made = create(_gmf_session_cluster, f"clone_{next(_numbers)}", getattr(request, "param", SMALL))
    yield made
    drop(made)


@pytest.fixture
def here(database: Database, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the command run in this process."""
    engine = "django.db.backends.postgresql"
    settings = {**database.cluster.databases(engine=engine)["default"], "NAME": database.name}
    monkeypatch.setattr(clone_session, "connections", ConnectionHandler({"default": settings}))
    monkeypatch.setenv("GMF_PG_BINDIR", str(database.bin_dir))
    with django_db_blocker.unblock():
        yield
