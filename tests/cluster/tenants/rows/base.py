"""The engine of the page for row-level security, and its middleware."""

from __future__ import annotations

from tests.unit.docs.pages import blocks

PAGE = "docs/how-to/tenants.md"
(block,) = (each for each in blocks(PAGE, "python") if "session_settings" in each.text)
exec(block.text)
