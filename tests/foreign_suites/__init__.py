"""Do the test suites of others pass with our router in place of none? `python -m tests.foreign_suites` answers."""
