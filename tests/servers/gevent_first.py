"""The gunicorn.conf.py of docs/reference/web-servers.md for gevent with --preload: it patches before anything else."""

from __future__ import annotations

# It imports nothing of gevent's concern: a few modules of the standard library.
from tests.unit.docs.running import example

exec(example("docs/reference/web-servers.md", "monkey.patch_all()").text)
