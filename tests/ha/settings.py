"""The site of the chaos tests on the databases and the cache of docs/examples/ha, by the settings shown there."""

from __future__ import annotations

import os
import runpy

from tests.chaos.settings import *  # noqa: F403
from tests.ha.examples import FOLDER

_shown = runpy.run_path(str(FOLDER / os.environ["GMF_HA_SETTINGS"]))
globals().update({name: value for name, value in _shown.items() if name.isupper()})
