"""How is the site of the chaos tests served, and when is it whole?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.chaos.load import Answer, Client
from tests.cluster.sites import Site, environment, served
from tests.turns import IS_SOAK
from tests.waiting import until

EACH_DRIVER_ONCE = [("gunicorn", "psycopg"), ("uvicorn", "psycopg2")]
EVERY = [(server, driver) for server in ("gunicorn", "uvicorn") for driver in ("psycopg", "psycopg2")]
COMBINATIONS = EVERY if IS_SOAK else EACH_DRIVER_ONCE
once = pytest.mark.parametrize(
    "served_site", EVERY if IS_SOAK else EACH_DRIVER_ONCE[:1], ids="-".join, indirect=True, scope="module"
)
"""For what the budgets do not name: under one server on one driver, but in a soak."""
WORKERS = {"gunicorn": 2, "uvicorn": 1}
INTERVAL, TIMEOUT, MAX_LAG = 1.0, 2.0, 2.0
HEALTH = {"INTERVAL": INTERVAL, "TIMEOUT": TIMEOUT, "MAX_LAG": MAX_LAG}
HANG_SECONDS = INTERVAL + TIMEOUT + 1
WHOLE_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosSite:
    """A site that is being served by `server` on `driver`."""

    site: Site
    server: str
    driver: str

    @property
    def name(self) -> str:
        return f"{self.server}-{self.driver}"

    @property
    def url(self) -> str:
        return self.site.url

    @property
    def workers(self) -> int:
        """How many processes serve it."""
        return WORKERS[self.server]

    @property
    def pages(self) -> list[str]:
        """What the load asks for, each in its turn."""
        return ["/page"] if self.server == "gunicorn" else ["/page", "/page-async", "/page-async"]

    def log(self) -> str:
        return self.site.log.read_text(errors="replace")

    def errors(self) -> str:
        """Return what was logged of the requests that failed."""
        return "\n".join(f"ERROR{entry[:6000]}" for entry in self.log().split("\nERROR")[1:6])

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        """Ask once, on a connection of its own."""
        client = Client(self.url, method=method, headers=headers)
        try:
            return client.ask(path)
        finally:
            client.close()

    def each_worker(self, path: str, timeout_seconds: float = 20) -> dict[int, Answer]:
        """Ask until each worker has answered 200, and answer what each said last."""
        answers: dict[int, Answer] = {}

        def is_complete() -> bool:
            answer = self.ask(path)
            if not answer.is_failed:
                answers[answer.body["pid"]] = answer
            return len(answers) == self.workers

        until(is_complete, timeout_seconds, lambda: f"{path} by {self.workers} workers: {answers}")
        return answers

    def wait_until_whole(self) -> None:
        """Wait until every worker knows that every node is up."""

        def is_whole() -> bool:
            answers = self.each_worker("/monitor")
            return {state for answer in answers.values() for state in answer.body["nodes"].values()} == {"up"}

        until(is_whole, WHOLE_SECONDS, lambda: f"all nodes are up for {self.each_worker('/monitor')}")

    def wait_until_known_to_be_down(self, alias: str) -> None:
        """Wait until every worker knows that the node of an alias is down."""

        def is_known() -> bool:
            return {answer.body["nodes"][alias] for answer in self.each_worker("/monitor").values()} == {"down"}

        until(is_known, 10 * INTERVAL, f"every worker knows that {alias} is down")

    def wait_until_each_worker_logs(self, text: str, since: int) -> None:
        """Wait until every worker has logged this in what the log holds beyond its first `since` characters."""
        until(lambda: self.log()[since:].count(text) >= WORKERS[self.server], 20 * INTERVAL, f"each worker logs {text}")


@contextmanager
def chaos_site(
    server: str,
    driver: str,
    cluster: LocalCluster,
    *,
    aliases: Mapping[str, Mapping[str, Any]] | None = None,
    router: Mapping[str, Any] | None = None,
    within: Sequence[str] = (),
    **database: Any,
) -> Iterator[ChaosSite]:
    """Serve the site until the block ends.

    aliases: entries of DATABASES that differ from the others; within: see `served`.
    """
    # Django's manual: no persistent connections under ASGI, where each request has a thread of its own.
    settings = {"CONN_MAX_AGE": 60 if server == "gunicorn" else 0, **database}
    env = environment(cluster, driver, router={"HEALTH": HEALTH, **(router or {})}, **settings)
    databases = json.loads(env["GMF_TEST_DATABASES"])
    for alias, different in (aliases or {}).items():
        databases[alias] |= different
    env |= {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings", "GMF_TEST_DATABASES": json.dumps(databases)}
    with served(server, env, workers=WORKERS[server], within=within) as site:
        yield ChaosSite(site=site, server=server, driver=driver)
