"""Which tests are left out where there is no PostGIS? `make test` says it at its beginning."""

from __future__ import annotations

from testproject.postgis import REMEDY, missing

if __name__ == "__main__" and (lacking := missing()):
    print(f"* tests/cluster/test_postgis.py is left out: it needs {lacking}: {REMEDY}")
