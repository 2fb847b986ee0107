"""Which suites run in which ways, and which of their tests may fail?"""

from __future__ import annotations

from dataclasses import dataclass, field

# The longest first: two run at a time.
SUITES = (
    "admin_views",
    "auth_tests",
    "sessions_tests",
    "transactions",
    "asgi",
    "handlers",
    "middleware",
    "multiple_database",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to run suites: the name of its settings module, and test id -> reason for what must fail there."""

    name: str
    suites: tuple[str, ...] = SUITES
    installed: bool = True
    exceptions: dict[str, str] = field(default_factory=dict)


BASELINE = Variant(name="without", installed=False)

# A test that asserts Django's default routing itself, and so must fail where reads are routed, is named in
# `exceptions`: test id -> the reason. The run fails when such a test passes after all, and when any other differs.
# None is needed: what belongs to no cluster is left to Django, and a mirrored replica serves as "default".
VARIANTS = (
    Variant(name="installed"),
    Variant(name="replicas", suites=("multiple_database",)),
    Variant(name="use_replica", suites=("multiple_database",)),
)
