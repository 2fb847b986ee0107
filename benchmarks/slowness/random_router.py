"""What do sites without a package do? They follow Django's manual: a few lines that pick at random."""

from __future__ import annotations

import random
from typing import Any

from django.conf import settings


class RandomRouter:
    """Reads from a replica at random, each query anew; writes to the primary."""

    def db_for_read(self, model: Any, **hints: Any) -> str:  # noqa: ARG002
        """Return any of the replicas."""
        return random.choice(settings.REPLICA_DATABASES)

    def db_for_write(self, model: Any, **hints: Any) -> str:  # noqa: ARG002
        """Return the primary."""
        return "default"

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:  # noqa: ARG002
        """Return True: all aliases hold the same rows."""
        return True
