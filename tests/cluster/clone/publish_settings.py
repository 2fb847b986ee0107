"""The tests' site over a main schema that is published while it serves."""

from __future__ import annotations

from tests.cluster.settings import *  # noqa: F403

ROOT_URLCONF = "tests.cluster.clone.publish_urls"
