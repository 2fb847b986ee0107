"""Is GMF_ROUTER parsed once, and anew when it changes?"""

from __future__ import annotations

import pytest
from django.conf import settings
from django.test import override_settings

from django_gmf_router.settings import configuration


def test_every_alias_of_a_cluster_has_its_schemas_with_and_without_replicas() -> None:
    raw = {"default": {"REPLICAS": ["replica_1"], "SCHEMAS": {"MAIN": "a"}}, "other": {"SCHEMAS": {"MAIN": "b"}}}
    with override_settings(GMF_ROUTER=raw):
        assert configuration.names_schemas()
        found = {alias: configuration.schemas_of(alias) for alias in ("default", "replica_1", "replica_2", "other")}
        assert {alias: schemas and schemas.main for alias, schemas in found.items()} == {
            "default": "a",
            "replica_1": "a",
            "replica_2": None,
            "other": "b",
        }
    assert configuration.schemas_of("default") is None
    assert not configuration.names_schemas()


@pytest.mark.parametrize("raw", [{}, {"default": {}}, {"default": {"REPLICAS": []}}, {"default": {"REPLICAS": {}}}])
def test_without_replicas_there_is_no_cluster(raw: dict[str, object]) -> None:
    with override_settings(GMF_ROUTER=raw):
        assert configuration.clusters() == ()


def test_an_absent_setting_is_no_cluster() -> None:
    with override_settings():
        del settings.GMF_ROUTER
        configuration._reset(setting=configuration.SETTING)
        assert configuration.clusters() == ()
        assert not configuration.names_schemas()
    configuration._reset(setting=configuration.SETTING)


def test_the_settings_are_parsed_once_and_anew_when_they_change() -> None:
    first = configuration.clusters()
    assert configuration.clusters() is first
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_2"]}}):
        assert configuration.clusters()[0].replica_aliases == ("replica_2",)
    assert configuration.clusters() == first


def test_a_change_of_another_setting_parses_nothing_anew() -> None:
    first = configuration.clusters()
    with override_settings(DEBUG=True):
        assert configuration.clusters() is first
