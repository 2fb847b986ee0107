"""The same site when every test runs inside use_replica(), so that every read has the replica's role."""

from __future__ import annotations

from tests.foreign_suites.settings.wagtail_cluster import *  # noqa: F403

TEST_RUNNER = "tests.django_suites.replica_runner.ReplicaRunner"
