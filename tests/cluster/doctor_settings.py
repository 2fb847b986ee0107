"""A site whose processes make up a key each, with the clusters that a test's environment names."""

from __future__ import annotations

import json
import os

from django.core.management.utils import get_random_secret_key

from tests.cluster.settings import *  # noqa: F403

SECRET_KEY = get_random_secret_key()
if "GMF_TEST_CLUSTERS" in os.environ:
    GMF_ROUTER = json.loads(os.environ["GMF_TEST_CLUSTERS"])
