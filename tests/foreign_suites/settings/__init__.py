"""Which settings does Wagtail's suite run with? Each module derives from its own test project's."""
