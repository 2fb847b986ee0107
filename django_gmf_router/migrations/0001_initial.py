"""The table of what operators say of a cluster, and the status page's line in the admin."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Make them."""

    initial = True
    dependencies: ClassVar[list[Any]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="Control",
            fields=[
                ("version", models.BigAutoField(primary_key=True, serialize=False, verbose_name="number")),
                ("state", models.TextField(verbose_name="state from then on")),
                ("changed_at", models.DateTimeField(auto_now_add=True, verbose_name="at")),
                ("changed_by", models.CharField(max_length=150, verbose_name="by")),
                ("reason", models.TextField(blank=True, verbose_name="reason")),
            ],
            options={
                "verbose_name": "change of control",
                "verbose_name_plural": "changes of control",
                "db_table": "gmf_router_control",
                "ordering": ["-version"],
                "permissions": [("control", "Can steer the cluster")],
                "default_permissions": ("view",),
            },
        ),
        # The line of the admin's index that leads to the status page: no table.
        migrations.CreateModel(
            name="Status",
            fields=[],
            options={
                "verbose_name": "status of the clusters",
                "verbose_name_plural": "status of the clusters",
                "proxy": True,
                "db_table": "gmf_router_control",
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("gmf_router.control",),
        ),
    ]
