"""Are the settings parsed into values that cannot change, with the defaults of the contract?"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from django_gmf_router.settings import sections, values
from django_gmf_router.settings.values import Role


def test_the_defaults_are_those_of_the_contract() -> None:
    config = values.parse("default", {"REPLICAS": ["replica_1"]})
    assert config.read_methods == {"GET", "HEAD", "OPTIONS"}
    assert config.primary_models == ("sessions.*", "contenttypes.*", "django_cache.*")
    assert (config.outside_requests, config.unexpected_writes.otherwise, config.balancer) == (
        "primary",
        "warn",
        "random",
    )
    assert config.consistency == sections.ConsistencyConfig(
        level="session",
        store="cookie",
        max_age=60,
        window=5,
        cookie_name="gmf_token",
        header="GMF-Consistency-Token",
    )
    assert config.health == sections.HealthConfig(interval=1.0, timeout=2.0, max_lag=5.0)
    assert (config.primary_wait, config.debug_header, config.schemas, config.apps) == (0.0, None, None, None)


def test_primary_and_replica_are_the_same_keys_as_master_and_slave() -> None:
    chooser = {"master": ["a"], "primary": ["b"], "slave": ["c"], "replica": ["d"]}
    config = values.parse("default", {"REPLICAS": ["replica_1"], "DB_CHOOSER": chooser})
    assert (config.master, config.slave) == (("a", "b"), ("c", "d"))


def test_replicas_may_be_a_list_or_a_dict_with_weights() -> None:
    config = values.parse("default", {"REPLICAS": {"replica_1": {"WEIGHT": 3}, "replica_2": None}})
    assert [(replica.alias, replica.weight) for replica in config.replicas] == [("replica_1", 3), ("replica_2", 1)]
    assert config.aliases == {"default", "replica_1", "replica_2"}


def test_schemas_are_parsed_with_defaults() -> None:
    schemas = values.parse(
        "default", {"SCHEMAS": {"MAIN": "main_integration", "STATIC_APPS": ["auth", "users"]}}
    ).schemas
    assert schemas == sections.SchemasConfig(main="main_integration", static_apps=frozenset({"auth", "users"}))
    assert schemas.path == ("main_integration", "static", "public")
    assert (schemas.schema_of("users"), schemas.schema_of("places")) == ("static", "main_integration")
    assert (schemas.path_of("users"), schemas.path_of("places")) == (("static", "public"), schemas.path)
    assert sections.SchemasConfig().static_apps == {"admin", "auth", "contenttypes", "gmf_router", "sessions"}
    assert values.parse("default", {"SCHEMAS": {}}).schemas is None


def test_a_cluster_cannot_be_changed() -> None:
    config = values.parse("default", {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.primary = "other"  # type: ignore[misc]


def test_capitals_in_the_labels_of_primary_models_do_not_matter() -> None:
    config = values.parse("default", {"PRIMARY_MODELS": ["Sessions.*", "library.Book", "Django_Cache.*"]})
    assert config.primary_models == ("sessions.*", "library.book", "django_cache.*")


@pytest.mark.parametrize("role", Role)
def test_a_role_is_equal_to_its_word_and_printed_as_it(role: Role) -> None:
    word = role.value
    assert role == word
    assert {role: 1}[word] == 1
    assert (str(role), f"{role}", f"{role:>9}", json.dumps([role])) == (word, word, f"{word:>9}", f'["{word}"]')


LOADED = """
import sys
from types import ModuleType
package = ModuleType("django_gmf_router")
package.__path__ = [sys.argv[1]]
sys.modules["django_gmf_router"] = package
import django_gmf_router.settings.configuration
print(*sys.modules, sep="\\n")
"""


def test_the_settings_load_no_other_room_above_and_no_http() -> None:
    # Without the package's own __init__, which has its reasons to load more.
    package = str(Path(values.__file__).parents[1])
    loaded = subprocess.run(
        [sys.executable, "-c", LOADED, package], check=True, capture_output=True, text=True
    ).stdout.split()
    own = {name.split(".")[1] for name in loaded if name.startswith("django_gmf_router.")}
    assert own == {"settings", "postgres"}
    assert [name for name in loaded if name.startswith(("django.http", "django.db", "psycopg"))] == []


def test_a_cache_that_keeps_the_tokens_is_a_primary_model_whatever_the_setting_says() -> None:
    entry = {"PRIMARY_MODELS": ["sessions.*"], "CONSISTENCY": {"STORE": "cache"}}
    assert values.parse("default", entry).primary_models == ("sessions.*", "django_cache.*")
    assert values.parse("default", {"PRIMARY_MODELS": ["sessions.*"]}).primary_models == ("sessions.*",)
