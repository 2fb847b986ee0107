"""How do talks and manuals route reads to replicas? By a throw of the dice, and nothing else."""

from __future__ import annotations

import random
from typing import Any


class RandomRouter:
    """Any replica for each read, the primary for each write."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return random.choice(["replica_1", "replica_2"])

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "default"
