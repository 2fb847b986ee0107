"""A pytest plugin for `make mutants`: does each test build anew what a process builds once?

mutmut runs the tests of a mutant in a fork of a process that has run them all. What that one built (the clusters of the
settings, the answers of `lru_cache`) was built by the code without the mutant, which would survive unseen.
"""

from __future__ import annotations

import sys
from functools import _lru_cache_wrapper

import pytest
from django.conf import settings
from django.core.signals import setting_changed


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Empty the caches of the package, and tell it that its settings have changed."""
    for name, module in list(sys.modules.items()):
        if name.startswith("django_gmf_router."):
            for value in vars(module).values():
                if isinstance(value, _lru_cache_wrapper):
                    value.cache_clear()
    for name in ("GMF_ROUTER", "SECRET_KEY"):
        setting_changed.send(sender=None, setting=name, value=getattr(settings, name, None), enter=True)
