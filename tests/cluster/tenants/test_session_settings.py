"""Has each session the settings that the engine says, whoever had it before?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.scripts import script
from tests.cluster.tenants.conftest import Tenancy

# A line is a dict of settings; what the session has then is printed, for the alias and the names that are asked for.
CONSOLE = """
import ast, sys, django
django.setup()
from django.db import close_old_connections, connections
from tests.cluster.tenants.rows.base import DatabaseWrapper

wanted = {}
DatabaseWrapper.session_settings = lambda self, request: wanted
alias = sys.stdin.readline().strip()
for line in sys.stdin:
    close_old_connections()
    wanted = ast.literal_eval(line)
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT current_setting('app.a', true), current_setting('app.b', true), pg_backend_pid()")
        a, b, backend = cursor.fetchone()
    seen = globals().setdefault("seen", set())
    seen.add(backend)
    print(repr((a or "", b or "", len(seen))), flush=True)
"""


@pytest.mark.parametrize("standing", ["rows"], indirect=True, scope="package")
@pytest.mark.parametrize("alias", ["replica_1", "default"])
@pytest.mark.parametrize(
    "database",
    [{"CONN_MAX_AGE": 60}, {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": {"min_size": 1, "max_size": 1}}}],
    ids=["persistent", "pool"],
)
@pytest.mark.parametrize("replicas", [["replica_1", "replica_2"], []], ids=["cluster", "none"])
def test_a_setting_that_is_left_out_is_reset_in_the_session_that_had_it(
    tenancy: Tenancy, alias: str, database: dict[str, Any], replicas: list[str]
) -> None:
    env = tenancy.environment(**database)
    env["GMF_TEST_ROUTER"] = f'{{"REPLICAS": {replicas!r}}}'.replace("'", '"')
    with script(CONSOLE, env) as ask:
        assert ask(f"{alias}\n{ {'app.a': '1', 'app.b': 'x'} }") == repr(("1", "x", 1))
        assert ask("{'app.b': 'y'}") == repr(("", "y", 1))
        assert ask("{}") == repr(("", "", 1))
