"""The engine of the page for django-tenants."""

from __future__ import annotations

from tests.unit.docs.running import example

exec(example("docs/how-to/tenants.md", "django_tenants.postgresql_backend").text)
