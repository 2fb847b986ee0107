"""The tests of a site with schemas, as `manage.py test` runs them."""

from __future__ import annotations

from django.contrib.auth.models import Group
from django.db import connection
from django.test import TestCase, TransactionTestCase

from django_gmf_router.settings import configuration
from tests.books.models import Tag


def schema_of(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = %s::regclass", [table])
        return str(cursor.fetchone()[0])


class Schemas(TestCase):
    def test_the_tables_are_in_the_schemas_of_their_apps(self) -> None:
        assert configuration.schemas_of("default") is not None
        Tag.objects.create(name="a")
        Group.objects.create(name="b")
        self.assertEqual([schema_of("library_tag"), schema_of("auth_group")], ["main", "static"])


class Flush(TransactionTestCase):
    def test_both_schemas_are_flushed(self) -> None:
        self.assertEqual((Tag.objects.count(), Group.objects.count()), (0, 0))
        Tag.objects.create(name="c")
        Group.objects.create(name="d")

    test_and_again = test_both_schemas_are_flushed
