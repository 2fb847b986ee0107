"""Does django-tenants' own test suite end over our engine as over its own? `python -m tests.tenants_suite` answers."""
