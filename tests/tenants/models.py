"""The two models that django-tenants asks for."""

from __future__ import annotations

from django_tenants.models import DomainMixin, TenantMixin


class Customer(TenantMixin):
    pass


class Domain(DomainMixin):
    pass
