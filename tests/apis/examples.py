"""What do the pages tell a site to write? Their examples, as a reader would paste them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from tests.unit.docs.running import examples

FILE = "# office/"
"""The first line of an example that is a file of the site."""

for block in (*examples("docs/how-to/a-careful-start.md", FILE), *examples("docs/how-to/graphql-and-rest.md", FILE)):
    exec(compile(block.text, str(block), "exec"))


def by_header(request: HttpRequest) -> Any:
    """Choose as the example that a test names would."""
    name = request.headers.get("X-Chooser")
    return globals()[name](request) if name else None
