"""What do the tests on SQLite aliases share?"""

from __future__ import annotations

from typing import Any

import pytest

Looks = list[dict[str, Any]]


@pytest.fixture
def looks(client: Any) -> Any:
    """Ask a view where its reads went."""

    def ask(path: str, method: str = "get", **kwargs: Any) -> Looks:
        response = getattr(client, method)(path, **kwargs)
        assert response.status_code == 200, response.content
        found: Looks = response.json()["looks"]
        return found

    return ask
