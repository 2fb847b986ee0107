"""Is a server understood whose messages are not English?"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from django_gmf_router.testing import LocalCluster, home
from django_gmf_router.testing.plugin import refuse
from testproject import postgis
from tests.cluster.scripts import script
from tests.cluster.sites import DRIVERS, environment
from tests.cluster.test_worker import CONSOLE, WRITES, refusal, starting_up

SOURCES = Path("/usr/share/i18n/locales")
CONNECT = "connection.ensure_connection()"


@pytest.fixture(scope="module", params=["de_DE", "fr_FR"])
def speaking(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """A primary that speaks the language; its locale is made for it, and installed nowhere."""
    language, bin_dir = request.param, postgis.bin_dir()
    if bin_dir is None or shutil.which("localedef") is None or not (SOURCES / language).exists():
        refuse(
            "no PostgreSQL of the system's packages, which are translated, or no localedef with its sources (locales)"
        )
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        made = f"{directory}/{language}.UTF-8"
        subprocess.run(["localedef", "-i", language, "-f", "UTF-8", made], check=True, capture_output=True)
        patch.setattr(home, "KEPT_VARIABLES", (*home.KEPT_VARIABLES, "LOCPATH"))
        patch.setenv("LOCPATH", directory)
        with LocalCluster(replicas=1, bin_dir=bin_dir) as cluster:
            cluster.execute("primary", f"ALTER SYSTEM SET lc_messages = '{language}.UTF-8'")
            cluster.execute("primary", "ALTER SYSTEM SET max_connections = 20")
            cluster.restart("primary")
            yield cluster


@pytest.mark.parametrize("wrong", [{"NAME": "nowhere"}, {"USER": "nobody"}, {"PASSWORD": "s3cret"}], ids=str)
@pytest.mark.parametrize("driver", DRIVERS)
def test_wrong_settings_are_an_operational_error(speaking: LocalCluster, driver: str, wrong: dict[str, str]) -> None:
    with script(CONSOLE, environment(speaking, driver, router={"REPLICAS": ["replica_1"]}, **wrong)) as ask:
        answer = ask(CONNECT)
    assert answer.startswith("OperationalError:"), answer
    assert not any(english in answer for english in ("does not exist", "authentication failed")), answer


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_primary_that_starts_or_has_no_connection_left_is_unavailable(speaking: LocalCluster, driver: str) -> None:
    with script(CONSOLE, environment(speaking, driver, router={"REPLICAS": ["replica_1"]})) as ask:
        with ExitStack() as stack:
            with suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(psycopg.connect(speaking.dsn("primary")))
            assert all(ask(write).startswith("PrimaryUnavailable:") for write in WRITES)
        speaking.kill("primary")
        with starting_up(speaking, "FATAL:  "):
            assert "the database system" not in refusal(speaking)
            assert all(ask(write).startswith("PrimaryUnavailable:") for write in WRITES)
        speaking.restart("primary")
