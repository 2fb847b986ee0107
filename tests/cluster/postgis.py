"""Which tests are left out where there is no PostGIS?"""

from __future__ import annotations

from testproject.postgis import REMEDY, bin_dir, missing

__all__ = ["REMEDY", "bin_dir", "missing"]

if __name__ == "__main__" and (lacking := missing()):
    print(f"* tests/cluster/test_postgis.py is left out: it needs {lacking}: {REMEDY}")
