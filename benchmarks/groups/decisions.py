"""What does a read decision cost inside a request whose replica is already chosen?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.module_loading import import_string

from benchmarks import site
from benchmarks.contestants import Contestant, calling

SETTINGS = site.SETTINGS


def measure(take: Callable[[list[Contestant]], Any]) -> None:
    """Measure all contestants inside one GET request through our middleware."""

    def view(_request: HttpRequest) -> HttpResponse:
        take(list(_contestants()))
        return HttpResponse()

    site.open_primary()
    import_string(site.OUR_MIDDLEWARE)(view)(RequestFactory().get("/places"))


def _contestants() -> Iterator[Contestant]:
    from django.contrib.auth.models import Group  # noqa: PLC0415  models need the apps

    from django_gmf_router import clusters, current_decision  # noqa: PLC0415

    for name, router in site.routers().items():
        ask = router.db_for_read
        alias = ask(Group)
        if alias not in {"replica_1", "replica_2"}:
            raise AssertionError(f"{name} answers {alias!r}: it would not be the decision that the budget means.")
        loaded = Group.from_db(alias, ["id", "name"], [1, "editors"])
        yield calling(name, "ask(model)", ask=ask, model=Group)
        if name == "ours":
            names = {"tally": clusters.registry().clusters[0].policy.decisions, "decision": current_decision()}
            yield calling("nothing", "pass")
            yield calling("counting one", "next(tally[decision])", **names)
        yield calling(f"{name}, instance", "ask(model, instance=instance)", ask=ask, model=Group, instance=loaded)
