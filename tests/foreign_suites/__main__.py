"""Do the suites of Django REST framework and Wagtail end with our router as with none? Exit code 0 if all tests do.

Each runs over Django's own engine, and over ours with the router, the middleware and a replica; both at a time, on a
cluster of this machine. `GMF_SOAK=1` runs all of Wagtail.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import django

from django_gmf_router.testing import LocalCluster
from tests.django_suites.compare import differences, failures
from tests.django_suites.runs import SuiteBroken
from tests.django_suites.source import SourceMissing
from tests.foreign_suites.suites import SUITES, VARIANTS, Suite


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.foreign_suites", description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"which of {', '.join(SUITES)}; all by default")
    names = parser.parse_args().suites or list(SUITES)
    if unknown := set(names) - set(SUITES):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    try:
        # All are reported, also after a difference.
        identical = [compare(SUITES[name]()) for name in names]
    except (SourceMissing, SuiteBroken) as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if all(identical) else 1


def compare(suite: Suite) -> bool:
    """Print how the suite ends in both variants; return whether each test ends alike."""
    with LocalCluster(replicas=0) as cluster, ThreadPoolExecutor(len(VARIANTS)) as pool:
        suite.prepare(cluster)
        started = time.monotonic()
        before, found = pool.map(lambda variant: suite.run(cluster, variant), VARIANTS)
    differing = list(differences(before, found, suite.exceptions))
    package = suite.package
    print(
        f"{package.name} {package.version} on Django {django.get_version()}: {len(found)} tests, "
        f"{failures(found)} failures ({failures(before)} without us), {'different' if differing else 'identical'}, "
        f"{time.monotonic() - started:.0f} s",
        flush=True,
    )
    for paragraph in differing:
        print(f"  {paragraph}", flush=True)
    return bool(before) and not differing


if __name__ == "__main__":
    sys.exit(main())
