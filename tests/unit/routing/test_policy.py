"""Does each rule of the policy hold when it should, in its order, with its reason?"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.base_session import AbstractBaseSession
from django.contrib.sessions.models import Session
from django.core.cache import caches
from django.db import connections, models, router
from django.test import RequestFactory, override_settings
from django.test.utils import isolate_apps

from django_gmf_router import Decision, clusters, current_decision, routers, use_primary, use_replica
from django_gmf_router.replicas.pool import ReplicaPool
from django_gmf_router.routing.lazy_response import within
from django_gmf_router.routing.primary_models import is_user
from django_gmf_router.routing.unit_of_work import NOWHERE, UnitOfWork, current_place
from django_gmf_router.signals import role_decided
from tests.books.models import Author, Book, Tile
from tests.conftest import OpenUnit

pytestmark = pytest.mark.usefixtures("unmirrored")
REPLICAS = {"replica_1", "replica_2"}


def routed(**entry: Any) -> Any:
    return override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1", "replica_2"], **entry}})


def loaded_from(alias: str, model: Any = Author) -> Any:
    return model.from_db(alias, ["id"], [1])


def read(model: Any = Book, **hints: Any) -> tuple[str, str | None]:
    alias = router.db_for_read(model, **hints)
    decision = current_decision()
    return alias, decision and decision.reason


def test_a_get_reads_from_a_replica(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        alias = router.db_for_read(Book)
        assert alias in REPLICAS
        assert current_decision() == Decision(role="replica", alias=alias, reason="read_method")


def test_one_unit_of_work_has_one_replica_whatever_it_reads(open_request: OpenUnit) -> None:
    for _ in range(20):
        with open_request("GET", "/"):
            assert len({router.db_for_read(model) for model in (Book, Author, Tile, Book) * 5}) == 1


def test_units_of_work_spread_over_the_replicas(open_request: OpenUnit) -> None:
    seen = set()
    for _ in range(60):
        with open_request("GET", "/"):
            seen.add(router.db_for_read(Book))
    assert seen == REPLICAS


@pytest.mark.parametrize(
    ("method", "path", "reason"),
    [
        ("POST", "/", "write_method"),
        ("TRACE", "/", "write_method"),
        ("GET", "/s/x", "master_override"),
    ],
)
def test_rules_5_and_6_send_reads_to_the_primary(open_request: OpenUnit, method: str, path: str, reason: str) -> None:
    with open_request(method, path):
        assert read() == ("default", reason)


def test_a_slave_override_sends_a_post_to_a_replica(open_request: OpenUnit) -> None:
    with open_request("POST", "/printproxy/x"):
        alias, reason = read()
        assert (alias in REPLICAS, reason) == (True, "slave_override")


def test_the_query_string_is_not_matched(open_request: OpenUnit) -> None:
    with routed(DB_CHOOSER={"master": [r"GET /a.*secret"]}), open_request("GET", "/a?secret"):
        assert read()[1] == "read_method"


def test_the_decoded_path_is_matched_with_its_script_prefix() -> None:
    from django.test import RequestFactory

    request = RequestFactory(SCRIPT_NAME="/gis").get("/caf%C3%A9")
    with routed(DB_CHOOSER={"master": ["GET /gis/café"]}):
        token = current_place.set(UnitOfWork(request))
        assert read() == ("default", "master_override")
        current_place.reset(token)


@pytest.mark.parametrize("model", [Session, ContentType])
def test_sessions_and_content_types_are_primary_models(open_request: OpenUnit, model: Any) -> None:
    with open_request("GET", "/"):
        assert read(model) == ("default", "primary_model")
        assert read(Book)[0] in REPLICAS


@pytest.mark.parametrize("label", ["sessions.*", "Sessions.*"])
@isolate_apps("tests.books")
def test_a_session_model_of_the_sites_own_is_a_primary_model(open_request: OpenUnit, label: str) -> None:
    class OwnSession(AbstractBaseSession):
        class Meta:
            app_label = "library"

    with routed(PRIMARY_MODELS=[label]), open_request("GET", "/"):
        assert read(OwnSession) == ("default", "primary_model")


def test_the_database_cache_whose_model_is_a_stand_in_is_on_the_primary(open_request: OpenUnit) -> None:
    stand_in = caches["database"].cache_model_class  # type: ignore[attr-defined]
    with open_request("GET", "/"):
        assert read(stand_in) == ("default", "primary_model")
    assert stand_in not in routers.READS


def test_a_primary_model_may_be_named_by_app_or_model(open_request: OpenUnit) -> None:
    with routed(PRIMARY_MODELS=["library.Book"]), open_request("GET", "/"):
        assert read(Book)[1] == "primary_model"
        assert read(Author)[1] == "read_method"
    with routed(PRIMARY_MODELS=["library.*"]), open_request("GET", "/"):
        assert read(Author)[1] == "primary_model"


def test_a_primary_model_beats_use_replica(open_request: OpenUnit) -> None:
    with open_request("GET", "/"), use_replica():
        assert read(Session) == ("default", "primary_model")


def test_outside_requests_the_primary_is_read() -> None:
    assert router.db_for_read(Book) == "default"
    assert current_decision() is None


def test_outside_requests_a_unit_of_work_is_opened_lazily_where_replicas_are_wanted() -> None:
    def work() -> None:
        first = router.db_for_read(Book)
        assert first in REPLICAS
        assert {router.db_for_read(Author) for _ in range(10)} == {first}
        assert current_decision() == Decision(role="replica", alias=first, reason="outside_request")

    with routed(OUTSIDE_REQUESTS="replica"):
        contextvars.copy_context().run(work)


@pytest.mark.parametrize(("value", "aliases"), [("primary", {"default"}), ("replica", REPLICAS)])
def test_where_to_read_outside_requests_may_come_from_the_environment(
    value: str, aliases: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Equal to the constant of the code, but another object, as all that is read at run time.
    monkeypatch.setenv("GMF_OUTSIDE", value)
    with routed(OUTSIDE_REQUESTS=os.environ["GMF_OUTSIDE"]):
        assert contextvars.copy_context().run(router.db_for_read, Book) in aliases


@isolate_apps("tests.books")
def test_a_historical_model_is_read_from_the_primary_whatever_is_wanted_outside() -> None:
    class Historical(models.Model):
        class Meta:
            app_label = "library"

    with routed(OUTSIDE_REQUESTS="replica"):
        assert router.db_for_read(Historical) == "default"
        assert current_place.get() is NOWHERE
    assert Historical not in routers.READS


def test_what_this_unit_of_work_wrote_is_read_from_the_primary(open_request: OpenUnit) -> None:
    with open_request("GET", "/") as unit:
        read()
        clusters.registry().clusters[0].policy.record(unit).write()
        assert read() == ("default", "wrote")


def test_an_instance_of_the_primary_keeps_its_reads_there(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        assert read(Book, instance=loaded_from("default")) == ("default", "instance")
        assert read(Book, instance=loaded_from("replica_1"))[0] in REPLICAS
        assert read(Book, instance=Author())[0] in REPLICAS


def test_an_instance_from_outside_the_cluster_stays_where_it_is(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        router.db_for_read(Book)
        stranger = loaded_from("other")
        assert router.db_for_read(Book, instance=stranger) == "other"
        assert router.db_for_write(Book, instance=stranger) == "other"
    assert router.db_for_read(Session, instance=stranger) == "other"


def test_a_write_goes_to_the_primary_and_asking_for_it_changes_nothing(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        assert router.db_for_write(Book) == "default"
        assert router.db_for_write(Book, instance=loaded_from("replica_1")) == "default"
        assert read()[0] in REPLICAS


def test_blocks_beat_every_rule_over_the_request(open_request: OpenUnit) -> None:
    with open_request("POST", "/"), use_replica():
        alias, reason = read()
        assert (alias in REPLICAS, reason) == (True, "use_replica")
    with open_request("GET", "/"), use_primary():
        assert read() == ("default", "use_primary")


def test_a_block_uses_the_replica_that_the_unit_of_work_has(open_request: OpenUnit) -> None:
    for _ in range(10):
        with open_request("GET", "/"):
            alias = router.db_for_read(Book)
            with use_replica():
                assert router.db_for_read(Book) == alias


def test_use_replica_outside_requests_reads_from_one_replica() -> None:
    for _ in range(10):
        with use_replica():
            assert len({router.db_for_read(Book) for _ in range(10)} - REPLICAS) == 0
            assert len({router.db_for_read(Book) for _ in range(10)}) == 1
            assert current_decision().reason == "use_replica"  # type: ignore[union-attr]
    assert router.db_for_read(Book) == "default"


def test_a_closed_unit_of_work_routes_like_none(open_request: OpenUnit) -> None:
    with open_request("GET", "/") as unit:
        router.db_for_read(Book)
        unit.close()
        assert router.db_for_read(Book) == "default"
        assert current_decision() is None


def test_a_thread_without_the_context_is_outside_requests(open_request: OpenUnit) -> None:
    seen: list[str] = []
    with open_request("GET", "/"):
        thread = threading.Thread(target=lambda: seen.append(router.db_for_read(Book)))
        if hasattr(thread, "_context"):  # 3.14: a free-threaded build would inherit it
            thread._context = contextvars.Context()
        thread.start()
        thread.join()
    assert seen == ["default"]


@pytest.mark.parametrize("block", [nullcontext, partial(use_replica, level="eventual")])
def test_threads_of_a_request_that_read_first_at_the_same_time_share_its_replica(
    open_request: OpenUnit, monkeypatch: pytest.MonkeyPatch, block: Any
) -> None:
    both_pick = threading.Barrier(2, timeout=30)
    picks = iter(["replica_1", "replica_2"])

    def pick(*args: Any) -> tuple[str, str]:
        both_pick.wait()
        return next(picks), ""

    monkeypatch.setattr(ReplicaPool, "pick", pick)
    with open_request("GET", "/"), block(), ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(contextvars.copy_context().run, router.db_for_read, Book) for _ in range(2)]
        first, second = (job.result() for job in jobs)
        assert first == second == router.db_for_read(Book)


def test_tasks_of_a_request_share_its_replica(open_request: OpenUnit) -> None:
    async def gathered() -> list[str]:
        async def one() -> str:
            await asyncio.sleep(0)
            router.db_for_read(Session)
            return router.db_for_read(Book)

        return await asyncio.gather(*(one() for _ in range(20)), asyncio.to_thread(router.db_for_read, Book))

    for _ in range(5):
        with open_request("GET", "/"):
            assert len(set(asyncio.run(gathered()))) == 1


def test_the_reason_follows_each_read(open_request: OpenUnit) -> None:
    with open_request("GET", "/"):
        reasons = [read(model)[1] for model in (Book, Session, Book, Book)]
        with use_primary():
            reasons.append(read()[1])
        reasons.append(read()[1])
    expected = ["read_method", "primary_model", "read_method", "read_method", "use_primary", "read_method"]
    assert reasons == expected


def test_role_decided_is_sent_when_the_decision_changes(open_request: OpenUnit) -> None:
    seen: list[tuple[str, Any]] = []

    def note(*, decision: Decision, model: Any, **kwargs: Any) -> None:
        seen.append((decision.reason, model))

    role_decided.connect(note)
    with open_request("GET", "/"):
        for model in (Book, Author, Session, Session, Book):
            router.db_for_read(model)
    role_decided.disconnect(note)
    assert seen == [("read_method", Book), ("primary_model", Session), ("read_method", Book)]


def test_without_replicas_the_router_answers_nothing_at_all(open_request: OpenUnit) -> None:
    with override_settings(GMF_ROUTER={}), open_request("GET", "/"):
        (own,) = router.routers
        assert own.db_for_read(Book) is None
        assert own.db_for_write(Book, instance=loaded_from("replica_1")) is None
        assert own.allow_relation(loaded_from("replica_1"), loaded_from("default")) is None
        assert own.allow_migrate("replica_1", "library") is None
        assert current_decision() is None


def test_relations_are_allowed_within_the_cluster_and_left_to_others_beyond() -> None:
    (own,) = router.routers
    assert own.allow_relation(loaded_from("replica_1"), loaded_from("default")) is True
    assert own.allow_relation(loaded_from("replica_1"), loaded_from("replica_2")) is True
    assert own.allow_relation(loaded_from("replica_1"), loaded_from("other")) is None
    assert own.allow_relation(loaded_from("other"), loaded_from("other")) is None


def test_a_replica_has_the_models_of_its_primary_and_other_aliases_are_left_to_others() -> None:
    (own,) = router.routers
    for alias in ("default", "replica_1"):
        assert own.allow_migrate(alias, "library") is None
        assert own.allow_migrate(alias, "library", model_name="book", model=Book) is None
    assert own.allow_migrate("other", "library") is None


TWO = {
    "default": {"REPLICAS": ["replica_1"]},
    "other": {"REPLICAS": ["replica_2"], "APPS": ["library"], "DB_CHOOSER": {"master": ["GET /tiles"]}},
}


def test_several_clusters_each_route_the_models_of_their_apps(open_request: OpenUnit) -> None:
    from django.contrib.auth.models import User

    with override_settings(GMF_ROUTER=TWO), open_request("GET", "/tiles"):
        assert read(User) == ("replica_1", "read_method")
        assert read(Tile) == ("other", "master_override")
        assert router.db_for_write(User) == "default"
        assert router.db_for_write(Tile) == "other"
    with override_settings(GMF_ROUTER=TWO), open_request("GET", "/"):
        assert [router.db_for_read(model) for model in (User, Tile) * 3] == ["replica_1", "replica_2"] * 3


def test_an_app_is_migrated_in_its_own_cluster_only() -> None:
    with override_settings(GMF_ROUTER=TWO):
        (own,) = router.routers
        assert own.allow_migrate("other", "library") is None
        assert own.allow_migrate("other", "auth") is False
        assert own.allow_migrate("replica_2", "auth") is False
        assert own.allow_migrate("default", "library") is False
        assert own.allow_migrate("default", "auth") is None


def test_the_cache_of_routes_is_emptied_with_the_settings() -> None:
    router.db_for_read(Book)
    assert Book in routers.READS
    with routed():
        assert Book not in routers.READS


def test_the_wrapper_of_a_dead_threads_id_is_never_asked(open_request: OpenUnit) -> None:
    # Ids of threads are given again: each thread here must see its own connection's transaction, and none other's.
    policy = clusters.registry().clusters[0].policy
    seen = []

    def look() -> None:
        seen.append(policy.connection.wrapper is connections["default"])

    for _ in range(5):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [True] * 5


# What is decided once the role is replica


def test_a_decision_says_role_and_alias_whatever_made_it(open_request: OpenUnit) -> None:
    with open_request("POST", "/"), use_replica():
        alias = router.db_for_read(Book)
        assert current_decision() == Decision(role="replica", alias=alias, reason="use_replica")
    with routed(CONSISTENCY={"LEVEL": "strong"}), open_request("GET", "/"):
        router.db_for_read(Book)
        assert current_decision() == Decision(role="primary", alias="default", reason="consistency")
    with routed(REPLICAS=["replica_1"]), open_request("GET", "/"):
        clusters.registry().clusters[0].monitor.report_failure("replica_1", "connection refused")
        router.db_for_read(Book)
        assert current_decision() == Decision(role="primary", alias="default", reason="no_replica")


@pytest.mark.parametrize("cookie", ["sessionid={}", "gmf_token={}", "sessionid={}; gmf_token=other"])
def test_a_stable_balancer_knows_a_client_by_its_session_or_else_its_token(cookie: str) -> None:
    def served(client: int) -> str:
        request = RequestFactory().get("/", headers={"cookie": cookie.format(f"client{client}")})
        unit = UnitOfWork(request)
        with within(unit):
            return router.db_for_read(Book)

    with routed(BALANCER="stable"):
        by_client = {client: {served(client) for _ in range(8)} for client in range(12)}
    assert {len(found) for found in by_client.values()} == {1}
    assert set.union(*by_client.values()) == REPLICAS


def test_no_other_balancer_asks_who_the_client_is(open_request: OpenUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    monkeypatch.setattr(ReplicaPool, "pick", lambda self, wanted, key, pool: keys.append(key) or ("replica_1", ""))
    with routed(), open_request("GET", "/") as unit:
        unit.request.COOKIES["sessionid"] = "somebody"  # type: ignore[union-attr]
        router.db_for_read(Book)
    assert keys == [None]


def test_a_proxy_of_the_user_is_the_user() -> None:
    with isolate_apps("tests.books"):

        class Editor(User):
            class Meta:
                proxy = True
                app_label = "books"

        assert is_user(Editor)
    assert not is_user(Book)


# Pools


def pools() -> Any:
    replicas = {"replica_1": {}, "replica_2": {"POOL": "reports"}}
    return routed(REPLICAS=replicas, POOLS={"reports": [r"\w+ /reports"]}, DB_CHOOSER={"slave": ["POST /reports/run"]})


@pytest.mark.parametrize(
    ("line", "alias"),
    [
        ("GET /reports/1", "replica_2"),
        ("POST /reports/run", "replica_2"),
        ("POST /reports/1", "default"),
        ("GET /tiles", "replica_1"),
    ],
)
def test_a_request_reads_from_its_pool_where_it_reads_from_a_replica(
    open_request: OpenUnit, line: str, alias: str
) -> None:
    with pools():
        for _ in range(10):
            with open_request(*line.split()):
                assert router.db_for_read(Book) == alias


def test_a_block_names_the_pool_of_the_reads_inside(open_request: OpenUnit) -> None:
    with pools(), open_request("GET", "/tiles"):
        assert router.db_for_read(Book) == "replica_1"
        with use_replica(pool="reports"):
            assert read() == ("replica_2", "use_replica")
            with use_replica(level="eventual"):
                assert router.db_for_read(Book) == "replica_2"
        assert router.db_for_read(Book) == "replica_1"
        with use_replica(pool="reports"), use_primary():
            assert router.db_for_read(Book) == "default"
    with pools(), open_request("GET", "/reports/1"), use_replica(level="eventual"):
        assert router.db_for_read(Book) == "replica_2"


def test_a_pool_that_no_replica_has_is_an_error_where_there_are_pools(open_request: OpenUnit) -> None:
    block = use_replica(pool="report")
    with open_request("GET", "/"):
        with pools(), pytest.raises(ValueError, match=r"use_replica\(pool='report'\): no replica has this POOL"):
            block.__enter__()
        with routed(), block:
            assert router.db_for_read(Book) in REPLICAS
        with override_settings(GMF_ROUTER={}), block:
            assert router.db_for_read(Book) == "default"
