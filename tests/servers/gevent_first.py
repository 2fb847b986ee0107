"""The gunicorn.conf.py of docs/reference/web-servers.md for gevent with --preload: it patches before anything else."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()
