"""What do the web servers of the matrix load?

With GMF_TEST_WARM a page is served as soon as it is loaded, as the warm-up in a site's wsgi.py does: before the server
forks, unless it loads the site in each of its processes.
"""

from __future__ import annotations

import os
from typing import Any
from wsgiref.util import setup_testing_defaults

from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connections

application = wsgi = get_wsgi_application()
asgi = get_asgi_application()

if os.environ.get("GMF_TEST_WARM"):
    request: dict[str, Any] = {"PATH_INFO": "/page"}
    setup_testing_defaults(request)
    response = wsgi(request, lambda *head: None)
    assert b"".join(response)
    response.close()
    # No session may be shared with the children, with Django's own engines neither.
    connections.close_all()
