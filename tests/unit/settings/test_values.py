"""Are the settings parsed once, frozen, and read anew when they change?"""

from __future__ import annotations

import dataclasses

import pytest
from django.conf import settings
from django.test import override_settings

from django_gmf_router.settings import values


def test_the_defaults_are_those_of_the_contract() -> None:
    config = values.parse("default", {"REPLICAS": ["replica_1"]})
    assert config.read_methods == {"GET", "HEAD", "OPTIONS"}
    assert config.primary_models == ("sessions.*", "contenttypes.*", "django_cache.*")
    assert (config.outside_requests, config.unexpected_writes, config.balancer) == ("primary", "warn", "random")
    assert config.consistency == values.ConsistencyConfig(
        level="session",
        store="cookie",
        max_age=60,
        window=5,
        cookie_name="gmf_token",
        header="GMF-Consistency-Token",
    )
    assert config.health == values.HealthConfig(interval=1.0, timeout=2.0, max_lag=10.0)
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
    assert schemas == values.SchemasConfig(main="main_integration", static_apps=frozenset({"auth", "users"}))
    assert schemas.path == ("main_integration", "static", "public")
    assert (schemas.schema_of("users"), schemas.schema_of("places")) == ("static", "main_integration")
    assert (schemas.path_of("users"), schemas.path_of("places")) == (("static", "public"), schemas.path)
    assert values.SchemasConfig().static_apps == {"admin", "auth", "contenttypes", "sessions"}
    assert values.parse("default", {"SCHEMAS": {}}).schemas is None


def test_every_alias_of_a_cluster_has_its_schemas_with_and_without_replicas() -> None:
    raw = {"default": {"REPLICAS": ["replica_1"], "SCHEMAS": {"MAIN": "a"}}, "other": {"SCHEMAS": {"MAIN": "b"}}}
    with override_settings(GMF_ROUTER=raw):
        assert values.names_schemas()
        found = {alias: values.schemas_of(alias) for alias in ("default", "replica_1", "replica_2", "other")}
        assert {alias: schemas and schemas.main for alias, schemas in found.items()} == {
            "default": "a",
            "replica_1": "a",
            "replica_2": None,
            "other": "b",
        }
    assert values.schemas_of("default") is None
    assert not values.names_schemas()


def test_a_cluster_cannot_be_changed() -> None:
    config = values.parse("default", {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.primary = "other"  # type: ignore[misc]


@pytest.mark.parametrize("raw", [{}, {"default": {}}, {"default": {"REPLICAS": []}}, {"default": {"REPLICAS": {}}}])
def test_without_replicas_there_is_no_cluster(raw: dict[str, object]) -> None:
    with override_settings(GMF_ROUTER=raw):
        assert values.clusters() == ()


def test_an_absent_setting_is_no_cluster() -> None:
    with override_settings():
        del settings.GMF_ROUTER
        values._reset(setting=values.SETTING)
        assert values.clusters() == ()
        assert not values.names_schemas()
    values._reset(setting=values.SETTING)


def test_the_settings_are_parsed_once_and_anew_when_they_change() -> None:
    first = values.clusters()
    assert values.clusters() is first
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_2"]}}):
        assert values.clusters()[0].replica_aliases == ("replica_2",)
    assert values.clusters() == first


def test_a_change_of_another_setting_parses_nothing_anew() -> None:
    first = values.clusters()
    with override_settings(DEBUG=True):
        assert values.clusters() is first
