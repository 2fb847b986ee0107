"""In what do two runs of a suite differ?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Outcomes = Mapping[str, Mapping[str, str]]
FAILED = ("failure", "error", "unexpected success")


def differences(baseline: Outcomes, found: Outcomes, exceptions: Mapping[str, str]) -> Iterator[str]:
    """Yield one paragraph for each test that ended otherwise than in `baseline` and is not in `exceptions`."""
    for test in sorted({*baseline, *found}):
        before, after = _end(baseline, test), _end(found, test)
        if test in exceptions:
            if not after.startswith(FAILED):
                yield f"{test}: an exception is named for it ({exceptions[test]}), but it ended as: {after}"
        elif before != after:
            yield f"{test}: {before} without us, {after} with us\n{_said(found, test)}"


def failures(outcomes: Outcomes) -> int:
    """Count the tests that failed."""
    return sum(outcome["outcome"] in FAILED for outcome in outcomes.values())


def _end(outcomes: Outcomes, test: str) -> str:
    if test not in outcomes:
        return "not run"
    outcome = outcomes[test]
    return f"skipped ({outcome['said']})" if outcome["outcome"] == "skipped" else outcome["outcome"]


def _said(outcomes: Outcomes, test: str) -> str:
    lines = outcomes.get(test, {}).get("said", "").splitlines()
    return "\n".join(f"    {line}" for line in lines[-12:])
