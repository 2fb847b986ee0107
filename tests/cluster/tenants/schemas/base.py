"""The engine of the page for django-tenants."""

from __future__ import annotations

from tests.cluster.tenants.rows.base import PAGE
from tests.unit.docs.pages import blocks

(block,) = (each for each in blocks(PAGE, "python") if "django_tenants.postgresql_backend" in each.text)
exec(block.text)
