"""Which tests does `manage.py test` run here?"""

from __future__ import annotations

from typing import Any

from django.test.runner import DiscoverRunner


class SiteRunner(DiscoverRunner):
    """Runs the tests of the site; those of the package stand beside it and need pytest."""

    def build_suite(self, test_labels: list[str] | None = None, **kwargs: Any) -> Any:
        return super().build_suite(test_labels or ["testproject"], **kwargs)
