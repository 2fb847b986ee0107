"""Is a miss on a replica asked of the primary where the site says so, and only there?"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from django_gmf_router import or_primary
from tests.books.models import Author
from tests.conftest import OpenUnit
