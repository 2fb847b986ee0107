"""How is a site of this benchmark set up? What its contestants differ in comes from the environment."""

from __future__ import annotations

import json
import os

SECRET_KEY = "for the benchmarks only"  # noqa: S105
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "benchmarks.slowness.urls"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
globals().update(json.loads(os.environ["GMF_BENCH_SETTINGS"]))
