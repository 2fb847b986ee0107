"""The line of the admin's index that leads to the status page: no table."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """Note the proxy."""

    dependencies: ClassVar[list[Any]] = [("gmf_router", "0001_initial")]
    operations: ClassVar[list[Any]] = [
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
