"""Does a worker, which no request begins or ends for, live through an outage of its primary?"""

from __future__ import annotations

import pytest

from django_gmf_router.testing import LocalCluster
from tests.cluster.scripts import script
from tests.cluster.sites import DRIVERS, environment

WORKER = """
import sys, django
django.setup()
from django.db import transaction
from django_gmf_router.exceptions import PrimaryUnavailable
from tests.books.models import Author

def write():
    Author.objects.create(name="by a worker")

for line in sys.stdin:
    try:
        if line == "in a transaction\\n":
            with transaction.atomic():
                write()
        else:
            write()
    except PrimaryUnavailable as error:
        print("unavailable", flush=True)
    else:
        print("written", flush=True)
"""


@pytest.mark.parametrize("how", ["alone", "in a transaction"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_first_write_after_the_return_of_the_primary_succeeds(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str, how: str
) -> None:
    with script(WORKER, environment(gmf_cluster, driver)) as ask:
        assert ask(how) == "written"
        gmf_cluster.kill("primary")
        assert [ask(how), ask(how)] == ["unavailable"] * 2
        gmf_cluster.restart("primary")
        assert ask(how) == "written"


@pytest.mark.parametrize("how", ["alone", "in a transaction"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_restart_between_two_writes_costs_one(
    gmf_cluster: LocalCluster, migrated: LocalCluster, driver: str, how: str
) -> None:
    with script(WORKER, environment(gmf_cluster, driver)) as ask:
        assert ask(how) == "written"
        gmf_cluster.restart("primary")
        # A write is never repeated: nobody knows whether it was done.
        assert [ask(how), ask(how)] == ["unavailable", "written"]
