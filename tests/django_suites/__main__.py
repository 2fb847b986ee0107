"""Do Django's own suites pass as they do without us? Exit code 0 if every test ends the same, else 1.

The suites come from the source distribution of the installed Django; see docs/reference/django-suites.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import django

from tests.django_suites.compare import differences, failures
from tests.django_suites.runs import Run, SuiteBroken, baseline, run
from tests.django_suites.source import SourceMissing, suites_folder
from tests.django_suites.variants import SUITES, VARIANTS


def main() -> int:
    """Run what the command line names."""
    options = _options()
    started = time.monotonic()
    try:
        folder = suites_folder()
        identical = _run_all(folder, options)
    except (SourceMissing, SuiteBroken) as error:
        print(error, file=sys.stderr)
        return 1
    word = "identical" if identical else "DIFFERENT"
    print(f"Django {django.get_version()}: {word}, {time.monotonic() - started:.0f} s", flush=True)
    return 0 if identical else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.django_suites", description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"which of {', '.join(SUITES)}; all by default")
    parser.add_argument("--jobs", type=int, default=2, help="suites that run at a time")
    parser.add_argument("--anew", action="store_true", help="run the baseline again, although its outcomes are kept")
    options = parser.parse_args()
    options.suites = options.suites or SUITES
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    return options


def _run_all(folder: Path, options: argparse.Namespace) -> bool:
    suites = [suite for suite in SUITES if suite in options.suites]
    with ThreadPoolExecutor(options.jobs) as pool:
        baselines = {}
        runs = []
        for suite in suites:
            baselines[suite] = pool.submit(baseline, folder, suite, anew=options.anew)
            runs += [pool.submit(run, folder, suite, variant) for variant in VARIANTS if suite in variant.suites]
        # All are reported, also after a difference.
        reports = [_report(baselines[found.result().suite].result(), found.result()) for found in runs]
    return all(reports)


def _report(before: Run, found: Run) -> bool:
    """Print one line for a suite in a variant, and what differs."""
    differing = list(differences(before.outcomes, found.outcomes, found.variant.exceptions))
    seconds = f"{found.seconds:.1f} s, baseline " + (f"{before.seconds:.1f} s" if before.seconds else "kept")
    print(
        f"{found.suite:18} {found.variant.name:12} {len(found.outcomes):4} tests, {failures(found.outcomes)} failures, "
        f"identical {'no' if differing else 'yes'} ({seconds})",
        flush=True,
    )
    for paragraph in differing:
        print(f"  {paragraph}", flush=True)
    return not differing


if __name__ == "__main__":
    sys.exit(main())
