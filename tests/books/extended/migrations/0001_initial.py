from importlib import import_module

Migration = import_module("tests.books.migrations.0001_initial").Migration
