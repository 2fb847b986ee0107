"""Do the commands and the SQL of an operator's pages do on a real cluster what the pages say?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import environment, manage
from tests.unit.docs.pages import Block, all_blocks, arguments_of, blocks, commands_of

# What else the pages show has tests of its own: of clones, of schemas, of local clusters, of `check`.
OURS = ("gmf_control", "gmf_doctor", "gmf_rehearse", "gmf_services", "gmf_status")
A_JOB = """
from django_gmf_router import unit_of_work
from tests.books.models import Author

with unit_of_work(name="nightly"):
    Author.objects.exists()
"""
SQL = [block for name in ("drain-a-replica", "maintenance") for block in blocks(f"docs/how-to/{name}.md", "sql")]


def operators_commands() -> list[tuple[str, ...]]:
    """Each command once, in the order of the pages: what is said there is undone there."""
    arguments = (tuple(arguments_of(command)) for block in all_blocks("console") for command in commands_of(block))
    return [*dict.fromkeys(each for each in arguments if each and each[0] in OURS)]


@pytest.fixture
def cluster(migrated: LocalCluster, gmf_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, of which nothing is said any more after the test."""
    yield gmf_cluster
    migrated.execute(
        "primary",
        "INSERT INTO gmf_router_control (changed_at, changed_by, state, reason) VALUES (now(), 'the tests', '{}', '')",
    )


def test_the_commands_of_the_pages_end_well(cluster: LocalCluster, tmp_path: Path) -> None:
    commands = operators_commands()
    assert {command[0] for command in commands} == set(OURS)
    folder = {"GMF_TEST_BASE_DIR": str(tmp_path)}
    # What gmf_rehearse tells of.
    counted = manage({**environment(cluster, router={"DRY_RUN": True}), **folder}, "shell", "-c", A_JOB)
    assert counted.returncode == 0, counted.stderr
    for command in commands:
        # Where a page names a place of the whole machine, one of this test stands for it.
        arguments = [str(tmp_path / Path(word).name) if word.startswith("/") else word for word in command]
        done = manage({**environment(cluster), **folder}, *arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)


@pytest.mark.parametrize("sql", SQL, ids=str)
def test_the_sql_of_a_page_is_answered(cluster: LocalCluster, sql: Block) -> None:
    # It asks who is there; what is in no hand of this test. That there is such a table and column is.
    assert isinstance(cluster.execute("replica_1", sql.text), list)
