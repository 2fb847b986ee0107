"""The engine of the page for row-level security, and its middleware."""

from __future__ import annotations

from tests.unit.docs.running import example

PAGE = "docs/how-to/tenants.md"
exec(example(PAGE, "session_settings").text)
