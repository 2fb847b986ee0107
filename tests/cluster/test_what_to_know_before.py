"""Do the habits that docs/explanation/what-to-know-before.md warns of fail as it says, and do its remedies help?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import Ask, script
from tests.cluster.sites import environment
from tests.waiting import until

SITE = """
import json, sys, django
django.setup()
from django.core.cache import cache
from django.db import Error, connection, transaction
from django.test import RequestFactory
from django_gmf_router import clusters, consistency_token, read_after, use_primary, use_replica
from django_gmf_router.middleware import RoutingMiddleware
from tests.books.models import Author, Tag

def names():
    return sorted(Tag.objects.values_list("name", flat=True))

def publish(name):
    Tag.objects.create(name=name)
    cache.set("changed", consistency_token())
    cache.delete("names")

@use_primary()
def names_of_the_primary():
    return names()

def names_of_a_replica_that_has_them():
    with use_replica(), read_after(cache.get("changed")):
        return names()

def select(sql, *params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)

def in_schema(work):
    with transaction.atomic():
        select("SELECT set_config('search_path', 'tenant, public', true)")
        return work()

def under_a_lock():
    with transaction.atomic():
        select("SELECT pg_advisory_xact_lock(5)")
        return names()

def under_a_lock_of_the_session():
    with use_primary():
        select("SELECT pg_advisory_lock(6)")
        found = names()
        select("SELECT pg_advisory_unlock(6)")
        return found

def set_by_hand():
    select("SET search_path TO tenant, public")
    found = names()
    select("RESET search_path")
    return found

def lock_by_hand():
    select("SELECT pg_advisory_lock(7)")
    found = names()
    select("SELECT pg_advisory_unlock(7)")
    return found

def ready():
    names()
    (cluster,) = clusters.registry().clusters
    return sorted({health.state for health in cluster.monitor.snapshot.values() if health.sampled_at})

VIEWS = {
    "names": names,
    "publish": lambda: publish("published"),
    "fill": lambda: cache.get_or_set("names", names),
    "fill from the primary": lambda: cache.get_or_set("names", names_of_the_primary),
    "fill from a replica": lambda: cache.get_or_set("names", names_of_a_replica_that_has_them),
    "empty": lambda: cache.delete("names"),
    "set by hand": set_by_hand,
    "set in a transaction": lambda: in_schema(names),
    "lock by hand": lock_by_hand,
    "lock in a transaction": under_a_lock,
    "lock in use_primary()": under_a_lock_of_the_session,
    "authors": lambda: Author.objects.count(),
    "ready": ready,
}

for line in sys.stdin:
    method, _, view = line.strip().partition(" ")
    found = []
    def get_response(request):
        from django.http import HttpResponse
        try:
            found.append(VIEWS[view]())
        except Error as error:
            found.append(type(error).__name__)
        return HttpResponse()
    RoutingMiddleware(get_response)(RequestFactory().generic(method, "/"))
    print(json.dumps(found[0]), flush=True)
"""
NODES = ("replica_1", "replica_2")


@pytest.fixture
def clean(gmf_cluster: LocalCluster, migrated: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, with a tag of its own and an unlogged table in a tenant's schema."""
    gmf_cluster.execute("primary", "DELETE FROM library_tag WHERE name = 'published'")
    gmf_cluster.execute("primary", 'CREATE SCHEMA tenant CREATE TABLE library_tag (LIKE public."library_tag")')
    gmf_cluster.execute("primary", "INSERT INTO tenant.\"library_tag\" VALUES (1, 'of the tenant')")
    gmf_cluster.execute("primary", 'CREATE UNLOGGED TABLE tenant."library_author" (LIKE public."library_author")')
    for grant in ("USAGE ON SCHEMA tenant", "SELECT ON ALL TABLES IN SCHEMA tenant"):
        gmf_cluster.execute("primary", f"GRANT {grant} TO PUBLIC")
    gmf_cluster.wait_for_replay()
    yield gmf_cluster
    gmf_cluster.heal()
    gmf_cluster.execute("primary", "DROP SCHEMA tenant CASCADE")
    gmf_cluster.execute("primary", "DELETE FROM library_tag WHERE name = 'published'")
    gmf_cluster.wait_for_replay()


def asked(ask: Ask, line: str) -> Any:
    return json.loads(ask(line))


def lagging(cluster: LocalCluster, ask: Ask) -> None:
    """Publish while no replica replays."""
    until(lambda: asked(ask, "GET ready") == ["up"])
    for node in NODES:
        cluster.pause(node)
    asked(ask, "POST publish")


def site_of(cluster: LocalCluster, **router: Any) -> dict[str, str]:
    return environment(cluster, router={"HEALTH": {"INTERVAL": 0.2, "MAX_LAG": 60.0}, **router})


def test_a_cache_is_filled_with_what_is_old_unless_it_is_filled_from_the_primary(clean: LocalCluster) -> None:
    with script(SITE, site_of(clean)) as ask:
        lagging(clean, ask)
        for fill, is_new in (("fill", False), ("fill from the primary", True), ("fill from a replica", True)):
            asked(ask, "POST empty")
            assert ("published" in asked(ask, f"GET {fill}")) is is_new, fill
        for node in NODES:
            clean.resume(node)
        clean.wait_for_replay()
        asked(ask, "POST empty")
        assert "published" in asked(ask, "GET fill from a replica")


def test_a_session_that_is_set_up_by_hand_counts_where_it_was_set_up(clean: LocalCluster) -> None:
    with script(SITE, site_of(clean)) as ask:
        assert asked(ask, "POST set by hand") == ["of the tenant"]
        assert asked(ask, "GET set by hand") != ["of the tenant"]
        assert asked(ask, "GET set in a transaction") == ["of the tenant"]


def test_an_unlogged_table_is_read_from_the_primary_where_its_model_is_a_primary_model(clean: LocalCluster) -> None:
    path = {"OPTIONS": {"options": "-c search_path=tenant,public"}}
    with script(SITE, environment(clean, **path)) as ask:
        assert asked(ask, "GET authors") == "NotSupportedError"
        assert asked(ask, "POST authors") == 0
    with script(SITE, environment(clean, router={"PRIMARY_MODELS": ["library.Author"]}, **path)) as ask:
        assert asked(ask, "GET authors") == 0


def test_what_is_read_under_an_advisory_lock_is_read_where_it_is_held(clean: LocalCluster) -> None:
    with script(SITE, site_of(clean)) as ask:
        lagging(clean, ask)
        assert "published" not in asked(ask, "GET lock by hand")
        assert "published" in asked(ask, "GET lock in a transaction")
        assert "published" in asked(ask, "GET lock in use_primary()")
