"""What does the web server run? The site, its static files, and a policy that forbids inline scripts and styles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
    ]
)


def forbid_inline_code(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Add the strictest policy that a page with scripts of its own can have."""

    def serve(request: HttpRequest) -> Any:
        response = get_response(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return serve


wsgi = StaticFilesHandler(get_wsgi_application())
