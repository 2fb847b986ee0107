"""The site that the chaos tests serve: that of the cluster tests, with views to break it by and a log of events."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403
from tests.cluster.settings import LOGGING

ROOT_URLCONF = "tests.chaos.urls"
LOGGING = {
    **LOGGING,
    "formatters": {
        "event": {
            "()": "logging.Formatter",
            "fmt": "%(levelname)s event=%(event)s %(message)s",
            "defaults": {"event": "-"},
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "event"}},
    "loggers": {"django_gmf_router": {"level": "INFO"}},
}
