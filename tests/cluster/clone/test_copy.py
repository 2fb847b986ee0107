"""Is the copy of a schema that holds everything the same, line by line?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from django_gmf_router.testing import LocalCluster
from django_gmf_router.testing.machine import find_programs
from django_gmf_router.testing.plugin import refuse
from tests.cluster.clone.databases import EVERYTHING, Database, create, drop
from tests.cluster.sites import DRIVERS

OLDER = "pginstall"
ROLE = "DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$"


def older_bin_dir() -> Path | None:
    """Return the programs of the wheel's older version."""
    directory = find_programs().directory.parent.parent / OLDER / "bin"
    return directory if directory.exists() else None


@pytest.fixture(scope="module", params=["newest", "older"])
def cluster(request: pytest.FixtureRequest, _gmf_session_cluster: LocalCluster) -> Iterator[LocalCluster]:
    """A cluster of each version that is here."""
    if request.param == "newest":
        yield _gmf_session_cluster
    elif (older := older_bin_dir()) is None:
        # The system's programs, named by GMF_PG_BINDIR, come alone; the wheel brings both.
        refuse("the servers are of one version")
    else:
        with LocalCluster(0, bin_dir=older) as running:
            yield running


@pytest.fixture
def everything(cluster: LocalCluster) -> Iterator[Database]:
    """A database with a schema that has everything in it."""
    cluster.execute("primary", ROLE)
    made = create(cluster, "clone_everything", EVERYTHING.read_text())
    yield made
    drop(made)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_schema_with_everything_in_it_is_copied_line_by_line(everything: Database, driver: str) -> None:
    before = everything.dump("main")
    printed = everything.clone("main", "prod", env=everything.environment(driver))
    assert [line.replace("prod", "main") for line in everything.dump("prod")] == before
    assert everything.dump("main") == before
    assert "Warning: the function spells() spells the name main: look what it means." in printed
    assert "modern(" not in printed
    assert set(everything.schemas()) == {"main", "static", "prod"}
    # What the writers of the copy then do works as in the source.
    everything.as_owner("""
        SET search_path = prod; INSERT INTO newname (title) VALUES ('next');
        INSERT INTO layer (name) VALUES ('next'); INSERT INTO animal DEFAULT VALUES; REFRESH MATERIALIZED VIEW unfilled;
    """)
    assert everything.execute("SELECT count(*) FROM static.users") == [("100",)]


@pytest.mark.parametrize(
    "grants",
    [
        "GRANT SELECT ON TABLES TO reader",
        "REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        "GRANT SELECT ON LARGE OBJECTS TO reader",
    ],
)
def test_default_rights_of_the_database_do_not_change_the_copys_rights(everything: Database, grants: str) -> None:
    if "LARGE OBJECTS" in grants and int(everything.execute("SHOW server_version_num")[0][0]) < 180000:
        grants = "GRANT USAGE ON TYPES TO reader"  # large objects came with 18
    everything.as_owner(f"ALTER DEFAULT PRIVILEGES {grants}")
    rights = "SELECT defaclobjtype, defaclacl FROM pg_default_acl WHERE defaclnamespace = 0"
    before = everything.execute(rights)
    everything.clone("main", "prod")
    assert [line.replace("prod", "main") for line in everything.dump("prod")] == everything.dump("main")
    assert everything.execute(rights) == before
