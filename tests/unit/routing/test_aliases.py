"""Do the aliases that say more than their name behave as plain strings everywhere else?"""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.db.models import Model, QuerySet

from django_gmf_router.backends.postgresql.base import DatabaseWrapper
from django_gmf_router.routing.aliases import ClusterAlias, RoutedAlias, install
from tests.books.models import Author

ALIAS = ClusterAlias.of("default", frozenset({"default", "replica_1"}))


def test_a_cluster_alias_equals_every_alias_of_its_cluster_from_either_side() -> None:
    same = "replica_1"
    assert (same == ALIAS, same == ALIAS, ALIAS == "default") == (True,) * 3
    assert (same != ALIAS, same != ALIAS) == (False, False)
    other = "other"
    assert (other == ALIAS, other == ALIAS, ALIAS == 1) == (False, False, False)
    assert (other != ALIAS, ALIAS != 1) == (True, True)


def test_it_hashes_as_the_primary_and_names_its_connection() -> None:
    assert {"default": 1}[ALIAS] == 1
    assert {"replica_1": 1}.get(ALIAS) is None
    assert connections[ALIAS] is connections["default"]


def test_a_cluster_alias_pickles_as_a_plain_string() -> None:
    unpickled = pickle.loads(pickle.dumps(ALIAS))
    assert (type(unpickled), unpickled) == (str, "default")


@pytest.mark.parametrize("alias", ["replica_1", "default"])
def test_what_the_router_answered_is_the_alias_and_pickles_as_the_primarys(alias: str) -> None:
    routed = RoutedAlias(alias, "default")
    assert (routed, hash(routed)) == (alias, hash(alias))
    assert connections[routed] is connections[alias]
    assert copy.copy(routed) is copy.deepcopy(routed) is routed
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        unpickled = pickle.loads(pickle.dumps(routed, protocol))
        assert (type(unpickled), unpickled) == (str, "default")


def test_django_asks_the_router_for_what_the_router_answered() -> None:
    install()
    routed = RoutedAlias("replica_1", "default")
    for queryset in (Author.objects.using(routed), Author.objects.db_manager(using=routed).all()):
        assert queryset.db == "default"
    for queryset in (Author.objects.using("replica_1"), Author.objects.db_manager("replica_1").all()):
        assert queryset.db == "replica_1"


def test_django_is_taught_once() -> None:
    install()
    before = QuerySet.using
    install()
    assert QuerySet.using is before
    # A template must not call it.
    assert Model.delete.alters_data  # type: ignore[attr-defined]
    assert not hasattr(before.__wrapped__, "__wrapped__")  # type: ignore[attr-defined]


@pytest.mark.django_db(databases=["default", "replica_1"])
@pytest.mark.parametrize("alias", [ALIAS, RoutedAlias("replica_1", "default")])
def test_a_connection_that_a_thread_first_asks_for_with_them_has_a_plain_alias(alias: str) -> None:
    """`using` of a signal may go to a thread of its own; Django compares the alias of its connection."""

    def name_of_a_new_connection() -> tuple[type, str]:
        connection = connections[alias]
        connection.ensure_connection()
        # The wrapper keeps an SQLite database in memory open.
        connection.connection.close()
        return type(connection.alias), connection.alias

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(name_of_a_new_connection).result() == (str, str(alias))


def test_the_wrapper_of_the_engine_has_a_plain_alias_at_once() -> None:
    wrapper = DatabaseWrapper({**connections["default"].settings_dict, "OPTIONS": {}}, ALIAS)
    assert type(wrapper.alias) is str
