"""Does django-tenants' own test suite end over our engine as over its own? Exit code 0 if every test does, else 1.

The suite comes from the source distribution of the installed django-tenants; the server is a cluster of this machine.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

from django_gmf_router.testing import LocalCluster
from tests.cluster.sites import DRIVERS, ROOT
from tests.django_suites.compare import Outcomes, differences, failures
from tests.django_suites.runs import SuiteBroken, outcomes_of, search_path
from tests.django_suites.source import SourceMissing, source_folder

# Six runs of a suite that makes and drops schemas, two of them in CI.
IS_CI = bool(os.environ.get("CI"))
VARIANTS = ("cluster",) if IS_CI else ("engine", "cluster")


def main() -> int:
    """Run the suite by each driver over its own engine and over ours."""
    try:
        folder = source_folder("django-tenants", metadata.version("django-tenants"), "dts_test_project")
        with LocalCluster(replicas=0) as cluster:
            identical = [compare(folder, cluster, driver) for driver in (DRIVERS[:1] if IS_CI else DRIVERS)]
    except (SourceMissing, SuiteBroken) as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if all(identical) else 1


def compare(folder: Path, cluster: LocalCluster, driver: str) -> bool:
    """Print how the variants end on one driver; return whether all end alike."""
    baseline, is_identical = run(folder, cluster, driver, "stock"), True
    print(f"{driver:9} stock    {len(baseline):4} tests, {failures(baseline)} failures", flush=True)
    for variant in VARIANTS:
        found = run(folder, cluster, driver, variant)
        differing = list(differences(baseline, found, {}))
        word = "different" if differing else "identical"
        print(f"{driver:9} {variant:8} {len(found):4} tests, {failures(found)} failures, {word}", flush=True)
        for paragraph in differing:
            print(f"  {paragraph}", flush=True)
        is_identical &= not differing
    return is_identical and bool(baseline)


def run(folder: Path, cluster: LocalCluster, driver: str, variant: str) -> Outcomes:
    """Return how each test ends; raise SuiteBroken where the suite does not tell."""
    entry = cluster.databases()["default"]
    env = {
        "PYTHONPATH": search_path(ROOT),
        "DJANGO_SETTINGS_MODULE": f"{__package__}.settings.{variant}",
        "GMF_TEST_DRIVER": driver,
        **{f"DATABASE_{key}": str(entry[key]) for key in ("USER", "PASSWORD", "HOST", "PORT")},
    }
    command = ["manage.py", "test", "django_tenants.tests", "--noinput"]
    return outcomes_of(f"django-tenants ({driver}, {variant})", command, folder, env)


if __name__ == "__main__":
    sys.exit(main())
