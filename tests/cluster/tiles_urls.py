"""The tiles of the page about map services, of the parcels that the demo has."""

from __future__ import annotations

import sys
from types import ModuleType

from testproject.parcels import models
from tests.unit.docs.running import run_example

sys.modules |= {"land": ModuleType("land"), "land.models": models}
urlpatterns = run_example("docs/how-to/a-map-service.md", "class ParcelLayer")["urlpatterns"]
