"""Is what does not fit the schemas of a cluster an error that names it?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections, models
from django.test import override_settings
from django.test.utils import isolate_apps

from django_gmf_router.schemas import advisories
from django_gmf_router.settings import sections, values


def found(monkeypatch: pytest.MonkeyPatch, vendor: str = "postgresql", **schemas: Any) -> list[Any]:
    for alias in ("default", "replica_1"):
        monkeypatch.setattr(type(connections[alias]), "vendor", vendor)
        options = {"options": '-c search_path="main","static","public"'}
        monkeypatch.setattr(connections[alias], "get_connection_params", lambda options=options: options)
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "SCHEMAS": {"MAIN": "main", **schemas}}}):
        return advisories.check_settings()


def test_sound_schemas_are_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch) == []


def test_nothing_is_said_where_no_cluster_has_schemas() -> None:
    assert advisories.check_settings() == []
    assert advisories.check_server(databases=["default"]) == []
    assert advisories.check_server(databases=None) == []


def test_wrong_settings_are_left_to_the_checks_of_settings() -> None:
    with override_settings(GMF_ROUTER={"default": {"SCHEMAS": {"MAIN": ""}}}):
        assert advisories.check_settings() == advisories.check_server(databases=["default"]) == []


def test_a_static_app_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    (error,) = found(monkeypatch, STATIC_APPS=["admin", "auth", "contenttypes", "sessions", "shortner"])
    assert (error.id, "'shortner'" in error.msg) == ("gmf_router.E014", True)


def test_a_database_without_schemas_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = found(monkeypatch, vendor="sqlite")
    assert [error.id for error in errors] == ["gmf_router.E021"] * 2
    assert "DATABASES['default'] is no PostgreSQL database" in errors[0].msg


def test_an_alias_with_another_search_path_is_told_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = found(monkeypatch, MAIN="Other")
    assert [error.id for error in errors] == ["gmf_router.E015"] * 2
    assert "DATABASES['replica_1'] have the search_path main, static, public instead of Other, static" in errors[1].msg
    assert """{'options': '-c search_path="Other","static","public"'}""" in errors[1].hint


def test_a_static_migration_that_depends_on_main_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = found(monkeypatch, STATIC_APPS=["library"])
    assert [error.id for error in errors] == ["gmf_router.E016", "gmf_router.E017"]
    assert "library.0001_initial" in errors[1].msg
    assert "depends on contenttypes.0002_remove_content_type_name" in errors[1].msg
    assert errors[1].hint.startswith("Add 'contenttypes' to STATIC_APPS")


SCHEMAS = sections.SchemasConfig(static_apps=frozenset({"auth"}))


def referring(monkeypatch: pytest.MonkeyPatch, *defined: Any) -> list[str]:
    monkeypatch.setattr(advisories.apps, "get_models", lambda: list(defined))
    entry = values.ClusterConfig(primary="default", schemas=SCHEMAS)
    return [str(error.msg) for error in advisories._static_refers_to_main(entry, SCHEMAS)]


@isolate_apps("tests.books", "django.contrib.auth")
def test_a_foreign_key_from_static_to_main_is_named_by_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    class Layer(models.Model):
        class Meta:
            app_label = "library"

    class Theme(models.Model):
        class Meta:
            app_label = "auth"

    class Between(models.Model):
        class Meta:
            app_label = "library"

        layer = models.ForeignKey(Layer, models.CASCADE)
        bookmark = models.ForeignKey("auth.Bookmark", models.CASCADE)

    class Bookmark(models.Model):
        class Meta:
            app_label = "auth"

        layer = models.ForeignKey(Layer, models.CASCADE)
        one = models.OneToOneField(Layer, models.CASCADE, related_name="+")
        many = models.ManyToManyField(Layer, related_name="+")
        loose = models.ForeignKey(Layer, models.CASCADE, db_constraint=False, related_name="+")
        looser = models.ManyToManyField(Layer, db_constraint=False, related_name="+")
        through = models.ManyToManyField(Layer, through=Between, related_name="+")
        theme = models.ForeignKey(Theme, models.CASCADE)

    class Child(Layer):
        class Meta:
            app_label = "auth"

    class Foreign(models.Model):
        class Meta:
            app_label = "auth"
            managed = False

        layer = models.ForeignKey(Layer, models.CASCADE, related_name="+")

    messages = referring(monkeypatch, Layer, Theme, Between, Bookmark, Child, Foreign)
    assert [message.split()[2] for message in messages] == [
        "auth.Bookmark.layer",
        "auth.Bookmark.one",
        "auth.Bookmark.many",
        "auth.Child.layer_ptr",
    ]
    assert "refers to library.Layer of the main schema" in messages[0]


def test_a_table_is_misplaced_only_in_the_schema_of_other_apps() -> None:
    schemas = sections.SchemasConfig(static_apps=frozenset({"auth"}))
    tables = {"auth_group", "library_tag", "of_nobody"}
    (error,) = advisories._misplaced("default", schemas, "main", tables)
    assert "'auth_group' of the app 'auth' stands in the schema 'main'" in error.msg
    (error,) = advisories._misplaced("default", schemas, "static", tables)
    assert "'library_tag' of the app 'library' stands in the schema 'static'" in error.msg
