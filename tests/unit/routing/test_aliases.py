"""Do the aliases that say more than their name behave as plain strings everywhere else?"""

from __future__ import annotations

import copy
import pickle

from django.db import connections

from django_gmf_router.routing.aliases import ClusterAlias, MirroredAlias

ALIAS = ClusterAlias("default", frozenset({"default", "replica_1"}))


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


def test_it_pickles_and_copies_as_a_plain_string() -> None:
    for alias in (ALIAS, MirroredAlias("default")):
        for copied in (pickle.loads(pickle.dumps(alias)), copy.deepcopy(alias), copy.copy(alias)):
            assert type(copied) is str
            assert copied == "default"
