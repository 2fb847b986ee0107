"""What is compared with what, and how much may it cost? The one table of budgets.

A group is a module of `benchmarks.groups`; subject and reference are names of its contestants.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.slowness import OURS, SITES, WAYS

GROUPS = ("decisions", "wsgi", "asgi", "patterns", "backend", "consistency", "watching", "clone", "slow")
ONCE = {"watching", "clone", "slow"}
"""Groups that are measured in one process: a value of theirs takes seconds."""
RATIO = "times"
OVER = "us over"
OF_A_CORE = "% of a core"
A_SECOND = "a second"
# Of the subject itself, against nothing.
SECONDS = "s"
FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: `subject` against `reference`, as their ratio or as what it takes over it; or it alone.

    Without a `limit` it is for information.
    """

    group: str
    subject: str
    reference: str = ""
    measure: str = RATIO
    limit: float | None = None


def _decisions() -> list[Row]:
    rows = [Row(group="decisions", subject="counting one", reference="nothing", measure=OVER, limit=0.3)]
    for hint in ("", ", instance"):
        rows.append(Row(group="decisions", subject=f"ours{hint}", reference=f"constant{hint}", limit=3.0))
        rows += [
            Row(group="decisions", subject=f"{peer}{hint}", reference=f"constant{hint}")
            for peer in ("django-multidb-router", "django-rw-router")
        ]
    return rows


def _requests() -> list[Row]:
    return [
        Row(
            group=group,
            subject=f"{view}, {middleware}",
            reference=f"{view}, no-op",
            measure=OVER,
            # A whole ASGI request hops between threads: too coarse to hold a middleware to a budget.
            limit=4.0 if middleware == "ours" and view in {"no query", "chain, no query"} else None,
        )
        for group, views in (
            ("wsgi", ("no query", "one decision")),
            ("asgi", ("chain, no query", "chain, one decision", "whole, no query")),
        )
        for view in views
        for middleware in ("none", "ours", "django-multidb-router", "django-rw-router")
    ]


def _patterns() -> list[Row]:
    return [
        Row(
            group="patterns",
            subject=f"20 {shape}, {match}",
            reference=f"{size} {shape}, {other}",
            measure=OVER,
            limit=4.0,
        )
        for shape in ("sections", "layers", "words")
        for match, size, other in (
            ("none matches", 0, "none matches"),
            ("the last matches", 20, "the first matches"),
        )
    ]


def _backend() -> list[Row]:
    return [
        Row(group="backend", subject=alias, reference="stock", measure=OVER, limit=3.0)
        for alias in ("a replica's", "the primary's")
    ]


def _consistency() -> list[Row]:
    limits = {"sign and verify": 20.0, "verify": None, "refuse a forged one": None, "Django's Signer": None}
    return [
        Row(group="consistency", subject=subject, reference="nothing", measure=OVER, limit=limit)
        for subject, limit in limits.items()
    ]


def _watching() -> list[Row]:
    limits = {2: None, 20: None, 100: 1.0}
    cost = [
        Row(group="watching", subject=f"{nodes} nodes", reference="nothing", measure=OF_A_CORE, limit=limit)
        for nodes, limit in limits.items()
    ]
    wake_ups = [
        Row(group="watching", subject=f"{nodes} nodes, wake-ups", reference="nothing, wake-ups", measure=A_SECOND)
        for nodes in limits
    ]
    return [*cost, *wake_ups]


def _clone() -> list[Row]:
    # 0.8 times its speed.
    return [Row(group="clone", subject="clone_schema", reference="pg_dump | psql", limit=1.25)]


def _slow() -> list[Row]:
    return [
        Row(
            group="slow",
            subject=f"{site}, {way}, {subject}",
            reference=reference and f"{site}, {way}, {reference}",
            measure=measure,
            limit=limit if site == OURS else None,
        )
        for way in WAYS
        for subject, reference, measure, limit in (
            # 0.9 times the throughput.
            ("one slow, a request", "both fast, a request", RATIO, 1 / 0.9),
            ("one slow, p99", "both fast, p99", RATIO, 3.0),
            ("its share is back", "", SECONDS, 15.0),
            # Nobody is left out. Of the 40 requests that there are, chance alone keeps it below 4.
            ("both slow, the idler", "both slow, the busier", RATIO, 4.0),
            ("failed requests", "", FAILED, 0.0),
        )
        for site in SITES
    ]


ROWS = (*_decisions(), *_requests(), *_patterns(), *_backend(), *_consistency(), *_watching(), *_clone(), *_slow())
