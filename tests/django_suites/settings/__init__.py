"""Which settings do Django's suites run with? Each module derives from Django's own `test_sqlite`."""
