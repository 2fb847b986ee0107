"""What is made of a server that answers otherwise than hoped, or not at all?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_gmf_router.testing import replication
from django_gmf_router.testing.errors import LocalClusterError


class Server:
    """A node that runs, and answers what it was given; nothing to anything else."""

    name = "replica_1"
    log = Path("replica_1.log")

    def __init__(self, **answers: str) -> None:
        self._answers = answers

    def state(self) -> str:
        return "running"

    def query(self, sql: str, **options: Any) -> list[tuple[str]]:
        for word, answer in self._answers.items():
            if word in sql:
                return [(answer,)]
        raise LocalClusterError("replica_1 did not answer")


def server(**answers: str) -> Any:
    return Server(**answers)


def test_a_server_that_does_not_answer_has_no_known_role() -> None:
    assert replication.role_of(server()) is None
    assert replication.role_of(server(pg_is_in_recovery="t")) == "replica"


def test_a_server_that_does_not_answer_is_not_whole() -> None:
    replica = server()
    assert replication.if_lame(replica) is replica
    assert replication.if_lame(server(pg_is_in_recovery="t")) is None


def test_a_promotion_that_takes_too_long_is_told_with_the_log() -> None:
    with pytest.raises(LocalClusterError, match=r"replica_1 was not promoted within 3 s: see replica_1\.log"):
        replication.promote(server(pg_promote="f", pg_is_in_recovery="t"), 3)
