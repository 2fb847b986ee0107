"""What does the same site have when every test runs inside use_replica(), so that every read has the replica's role?"""

from __future__ import annotations

from tests.django_suites.settings.replicas import *  # noqa: F403

TEST_RUNNER = "tests.django_suites.replica_runner.ReplicaRunner"
