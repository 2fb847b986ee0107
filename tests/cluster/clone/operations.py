"""Run migrations on one schema: `python -m tests.cluster.clone.operations before|after`.

Before the clone they make tables as Django makes them; after it every operation has to work on the copy.
"""

from __future__ import annotations

import sys
from typing import Any

import django
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

APP = "shop"


def before() -> list[Any]:
    """Make tables, one with an identity column that RenameModel renamed."""
    return [
        migrations.CreateModel(
            "OldName", [("id", models.BigAutoField(primary_key=True)), ("title", models.CharField(max_length=20))]
        ),
        migrations.RenameModel("OldName", "Item"),
        migrations.CreateModel(
            "Small", [("id", models.AutoField(primary_key=True)), ("code", models.CharField(max_length=5, unique=True))]
        ),
        migrations.CreateModel(
            "Order",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("number", models.IntegerField(default=1, db_index=True)),
                ("weight", models.IntegerField(default=3)),
                ("name", models.CharField(max_length=20, db_index=True)),
                ("item", models.ForeignKey("shop.Item", models.CASCADE, related_name="+")),
                ("parent", models.ForeignKey("shop.Order", models.SET_NULL, null=True)),
                ("smalls", models.ManyToManyField("shop.Small")),
                (
                    "double",
                    models.GeneratedField(
                        expression=models.F("weight") * 2, output_field=models.IntegerField(), db_persist=True
                    ),
                ),
            ],
            options={"unique_together": {("number", "name")}, "db_table_comment": "orders"},
        ),
        migrations.AddIndex("Order", models.Index(fields=["number", "name"], name="order_index")),
        migrations.AddConstraint(
            "Order", models.CheckConstraint(condition=models.Q(number__gt=0), name="order_positive")
        ),
        migrations.RunPython(fill),
    ]


def after() -> list[Any]:
    """Every operation, on what was made before."""
    return [
        migrations.RunPython(fill),
        migrations.AddField("Item", "price", models.DecimalField(max_digits=8, decimal_places=2, default=0)),
        migrations.AlterField("Item", "title", models.TextField(null=True, db_index=True)),
        migrations.AlterField("Small", "id", models.BigAutoField(primary_key=True)),
        migrations.AlterField("Small", "code", models.CharField(max_length=9)),
        migrations.AlterField("Order", "number", models.BigIntegerField(default=2, db_comment="of the order")),
        migrations.AlterField("Order", "item", models.OneToOneField("shop.Item", models.PROTECT, related_name="+")),
        migrations.AlterField("Order", "name", models.CharField(max_length=30, unique=True)),
        migrations.RenameField("Order", "name", "label"),
        migrations.AlterUniqueTogether("Order", {("label", "item")}),
        migrations.AlterOrderWithRespectTo("Order", "item"),
        migrations.AlterModelTableComment("Order", "all orders"),
        migrations.AlterModelOptions("Order", {"verbose_name": "an order"}),
        migrations.AlterModelManagers("Order", []),
        migrations.RenameIndex("Order", new_name="order_renamed", old_name="order_index"),
        migrations.RemoveIndex("Order", "order_renamed"),
        migrations.RemoveConstraint("Order", "order_positive"),
        migrations.AddConstraint("Order", models.UniqueConstraint(fields=["number", "label"], name="order_unique")),
        migrations.AddIndex("Order", models.Index(fields=["label"], name="order_label")),
        migrations.RemoveField("Order", "double"),
        migrations.RemoveField("Order", "parent"),
        migrations.RenameModel("Item", "Thing"),
        migrations.RenameModel("Small", "Tiny"),
        migrations.AlterModelTable("Thing", "thing_table"),
        migrations.AlterField("Order", "item", models.ForeignKey("shop.Thing", models.CASCADE, related_name="+")),
        migrations.RunSQL("UPDATE shop_order SET number = number + 10"),
        migrations.SeparateDatabaseAndState([migrations.RunSQL("SELECT 1")], []),
        migrations.CreateModel("New", [("id", models.BigAutoField(primary_key=True))]),
        migrations.RunPython(use),
        migrations.DeleteModel("Order"),
        migrations.DeleteModel("Tiny"),
    ]


def fill(apps: Any, editor: Any) -> None:
    """Insert rows, whose keys the sequences give."""
    item, small, order = (apps.get_model(APP, name) for name in ("Item", "Small", "Order"))
    number = order.objects.count() + 1
    made = order.objects.create(number=number, name=f"order {number}", item=item.objects.create(title="one"))
    made.smalls.add(small.objects.create(code=f"c{number}"))
    assert made.pk == number


def use(apps: Any, editor: Any) -> None:
    """Insert rows into what was renamed and altered."""
    thing, tiny, order = (apps.get_model(APP, name) for name in ("Thing", "Tiny", "Order"))
    before = order.objects.count()
    order.objects.create(number=99, label="last", item=thing.objects.create(title="two", price=1))
    tiny.objects.create(code="c" * 9)
    assert order.objects.count() == before + 1


def apply(operations: list[Any], state: ProjectState, *, to_database: bool = True) -> ProjectState:
    """Apply operations, each in a transaction of its own."""
    for operation in operations:
        new = state.clone()
        operation.state_forwards(APP, new)
        if to_database:
            with connection.schema_editor() as editor:
                operation.database_forwards(APP, editor, state, new)
        state = new
    return state


def main() -> None:
    """Run what the command line names."""
    django.setup()
    state = apply(before(), ProjectState(), to_database=sys.argv[1] == "before")
    if sys.argv[1] == "after":
        apply(after(), state)


if __name__ == "__main__":
    main()
