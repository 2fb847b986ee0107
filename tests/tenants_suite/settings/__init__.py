"""Which settings does django-tenants' suite run with? Each module derives from its own test project's."""
