"""How does one suite of Django run with this package inside? In a process of its own, from the folder of the suites.

`runtests.py` gives the settings its own lists of apps and middleware; both are module-level lists, so that it takes no
patch to add to them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from typing import Any

MIDDLEWARE = "django_gmf_router.middleware.RoutingMiddleware"
APP = "django_gmf_router"
# What `runtests.py` passes when it is given nothing but the name of a suite.
OPTIONS: dict[str, Any] = {
    "verbosity": 1,
    "interactive": False,
    "failfast": False,
    "keepdb": False,
    "reverse": False,
    "debug_sql": False,
    "parallel": 1,
    "tags": None,
    "exclude_tags": None,
    "test_name_patterns": None,
    "start_at": None,
    "start_after": None,
    "pdb": False,
    "buffer": False,
    "timing": False,
    "shuffle": False,
}


def main(suite: str, *, installed: bool) -> int:
    """Run `suite`, with the app and the outermost middleware if `installed`; 1 when a test fails."""
    scratch = tempfile.mkdtemp(prefix="gmf-suite-")
    tempfile.tempdir = os.environ["TMPDIR"] = scratch
    try:
        import runtests  # it exists only in the folder of the suites, and reads TMPDIR

        if installed:
            runtests.ALWAYS_INSTALLED_APPS.append(APP)
            runtests.ALWAYS_MIDDLEWARE.insert(0, MIDDLEWARE)
        return int(bool(runtests.django_tests(test_labels=[suite], **OPTIONS)))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], installed=sys.argv[2:] == ["--installed"]))
