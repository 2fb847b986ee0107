"""How do a site and its tests connect to a local cluster?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django_gmf_router.postgres.session_options import READ_ONLY
from django_gmf_router.testing.ports import HOST


class Access:
    """What a client needs to connect to a node as the site's role."""

    def __init__(self, *, ports: Mapping[str, int], database: str, user: str, password: str) -> None:
        self.ports = ports
        self.database = database
        self.user = user
        self.password = password

    def dsn(self, node: str) -> str:
        return f"host={HOST} port={self.ports[node]} dbname={self.database} user={self.user} password={self.password}"

    def url(self, node: str) -> str:
        return f"postgres://{self.user}:{self.password}@{HOST}:{self.ports[node]}/{self.database}"

    def settings(self, node: str, engine: str) -> dict[str, Any]:
        """Return one entry of Django's DATABASES."""
        return {
            "ENGINE": engine,
            "NAME": self.database,
            "USER": self.user,
            "PASSWORD": self.password,
            "HOST": HOST,
            "PORT": str(self.ports[node]),
        }

    def databases(
        self, primary: str, replicas: Sequence[str], engine: str, *, mirror: bool
    ) -> dict[str, dict[str, Any]]:
        """Return Django's DATABASES: the primary as `default`, replicas under their names, read-only."""
        databases = {"default": self.settings(primary, engine)}
        for name in replicas:
            entry = {**self.settings(name, engine), "OPTIONS": {"options": READ_ONLY}}
            databases[name] = {**entry, "TEST": {"MIRROR": "default"}} if mirror else entry
        return databases

    def environment(self, primary: str, replicas: Sequence[str]) -> str:
        """Return the lines of a file that a shell can source."""
        urls = ",".join(self.url(name) for name in replicas)
        return f"DATABASE_URL='{self.url(primary)}'\nDATABASE_REPLICA_URLS='{urls}'\n"
