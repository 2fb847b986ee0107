"""Do the suites of Django REST framework and Wagtail end with our router as with none? Exit code 0 if all tests do.

Each runs over Django's own engine, and over ours with the router, the middleware and a replica, on a cluster of this
machine. `GMF_SOAK=1` runs all of Wagtail, and each suite once more with every test inside use_replica().
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import django

from django_gmf_router.testing import LocalCluster
from tests.django_suites.compare import Outcomes, differences, failures
from tests.django_suites.runs import SuiteBroken
from tests.django_suites.source import SourceMissing
from tests.foreign_suites.suites import AT_A_TIME, SUITES, VARIANTS, Suite


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
    """Print how the suite ends with us, in each variant; return whether each test ends as without."""
    package = suite.package
    with LocalCluster(replicas=0) as cluster, ThreadPoolExecutor(AT_A_TIME) as pool:
        suite.prepare(cluster)
        started = time.monotonic()
        baseline, *others = pool.map(lambda variant: compared(suite, suite.run(cluster, variant)), VARIANTS)
    seconds = time.monotonic() - started
    print(f"{package.name} {package.version} on Django {django.get_version()}, {seconds:.0f} s", flush=True)
    is_identical = bool(baseline)
    for variant, found in zip(VARIANTS[1:], others, strict=True):
        differing = list(differences(baseline, found, suite.exceptions))
        print(
            f"  {variant:12} {len(found):4} tests, {failures(found)} failures ({failures(baseline)} without us), "
            f"identical {'no' if differing else 'yes'}",
            flush=True,
        )
        for paragraph in differing:
            print(f"    {paragraph}", flush=True)
        is_identical &= not differing
    return is_identical


def compared(suite: Suite, outcomes: Outcomes) -> Outcomes:
    """Return the outcomes without those of the tests that end as chance has it."""
    return {test: outcome for test, outcome in outcomes.items() if test not in suite.uncertain}


if __name__ == "__main__":
    sys.exit(main())
