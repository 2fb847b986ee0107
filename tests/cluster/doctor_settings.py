"""A site whose processes make up a key each."""

from __future__ import annotations

from django.core.management.utils import get_random_secret_key

from tests.cluster.settings import *  # noqa: F403

SECRET_KEY = get_random_secret_key()
