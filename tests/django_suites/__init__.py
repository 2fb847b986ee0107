"""Do Django's own test suites pass as they do without this package? `python -m tests.django_suites` answers."""
