"""Are requests routed by the rules, through Django's whole stack?"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import router
from django.test import AsyncClient, Client, RequestFactory, override_settings

from django_gmf_router import current_decision, use_primary
from django_gmf_router.middleware import RoutingMiddleware
from django_gmf_router.routing.unit_of_work import NOWHERE, UnitOfWork, current_place
from django_gmf_router.testing import assert_routed_to
from tests.books.models import Book

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("method", ["get", "options"])
@pytest.mark.parametrize("path", ["/where", "/where-async"])
def test_a_read_method_reads_from_one_replica(looks: Any, method: str, path: str) -> None:
    found = looks(path, method)
    assert {(look["role"], look["reason"]) for look in found} == {("replica", "read_method")}
    assert len({look["alias"] for look in found}) == 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["/where", "/where-async"])
def test_another_method_reads_from_the_primary(looks: Any, method: str, path: str) -> None:
    assert {look["reason"] for look in looks(path, method)} == {"write_method"}


def test_overrides_force_either(looks: Any) -> None:
    assert {look["reason"] for look in looks("/s/abc")} == {"master_override"}
    assert {look["reason"] for look in looks("/printproxy/x", "post")} == {"slave_override"}


def test_head_runs_its_get_view_on_a_replica(client: Client) -> None:
    with assert_routed_to("replica", reason="read_method"):
        client.head("/where")


def test_an_async_server_routes_alike() -> None:
    async def ask() -> list[set[str]]:
        client = AsyncClient()
        answers = [await client.get("/where-async"), await client.get("/where"), await client.post("/where-async")]
        return [{look["reason"] for look in answer.json()["looks"]} for answer in answers]

    assert asyncio.run(ask()) == [{"read_method"}, {"read_method"}, {"write_method"}]


def test_requests_spread_over_the_replicas(looks: Any) -> None:
    assert {looks("/where")[0]["alias"] for _ in range(40)} == {"replica_1", "replica_2"}


def test_the_debug_header_says_alias_and_reason(client: Client) -> None:
    response = client.get("/where")
    assert response["X-GMF-Database"] == f"{response.json()['looks'][-1]['alias']}; reason=read_method"
    assert client.get("/s/x")["X-GMF-Database"] == "default; reason=master_override"


def test_the_debug_header_of_a_write_without_a_read_is_the_primary(client: Client, rf: RequestFactory) -> None:
    assert client.post("/nowhere")["X-GMF-Database"] == "default; reason=write_method"
    assert "X-GMF-Database" not in client.get("/nowhere")


def test_the_debug_header_is_off_by_default(client: Client) -> None:
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"]}}):
        assert "X-GMF-Database" not in client.get("/where")


def test_a_decorated_view_keeps_its_choice_while_its_response_renders(client: Client) -> None:
    assert client.get("/lazy").content == b"use_primary"


@pytest.mark.parametrize("path", ["/stream"])
def test_a_streamed_body_is_routed_in_its_unit_of_work(client: Client, path: str) -> None:
    with assert_routed_to("replica"):
        response = client.get(path)
        assert current_place.get() is NOWHERE
        assert {line.split()[0] for line in b"".join(response).splitlines()} == {b"read_method"}
    assert current_place.get() is NOWHERE


def test_a_streamed_body_under_an_async_server_is_routed_in_its_unit_of_work() -> None:
    async def ask(path: str) -> list[bytes]:
        response = await AsyncClient().get(path)
        return [line async for line in response]

    assert {line.split()[0] for line in asyncio.run(ask("/stream-async"))} == {b"read_method"}


def test_the_unit_of_work_of_a_streamed_body_is_closed_at_its_end(rf: RequestFactory) -> None:
    from django.http import StreamingHttpResponse

    units: list[Any] = []

    def view(request: Any) -> StreamingHttpResponse:
        units.append(current_place.get())
        return StreamingHttpResponse(iter(["a"]))

    response = RoutingMiddleware(view)(rf.get("/"))
    assert not units[0].closed
    list(response)
    assert units[0].closed


@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_closes_the_unit_of_work_and_leaves_nothing(rf: RequestFactory, is_async: bool) -> None:
    units: list[Any] = []

    def fail(request: Any) -> None:
        units.append(current_place.get())
        raise ZeroDivisionError

    async def fail_async(request: Any) -> None:
        fail(request)

    def serve() -> None:
        with pytest.raises(ZeroDivisionError):
            if is_async:
                asyncio.run(RoutingMiddleware(fail_async)(rf.get("/")))
            else:
                RoutingMiddleware(fail)(rf.get("/"))
        assert current_place.get() is NOWHERE

    contextvars.copy_context().run(serve)
    assert units[0].closed


def test_a_task_that_outlives_its_request_is_outside_requests(rf: RequestFactory) -> None:
    async def main() -> tuple[str, Any]:
        leave = asyncio.Event()

        async def late() -> tuple[str, Any]:
            await leave.wait()
            return router.db_for_read(Book), current_decision()

        tasks = []

        async def view(request: Any) -> Any:
            from django.http import HttpResponse

            tasks.append(asyncio.create_task(late()))
            return HttpResponse()

        await RoutingMiddleware(view)(rf.get("/"))
        leave.set()
        return await tasks[0]

    assert asyncio.run(main()) == ("default", None)


def test_a_block_around_a_request_holds_inside_it(client: Client) -> None:
    with use_primary(), assert_routed_to("primary", reason="use_primary"):
        client.get("/where")


def test_the_session_that_is_saved_in_the_response_phase_belongs_to_the_request(client: Client) -> None:
    seen: list[Any] = []

    def receiver(**kwargs: Any) -> None:
        place = current_place.get()
        seen.append(isinstance(place, UnitOfWork) and place.path)

    from django.contrib.sessions.models import Session
    from django.db.models.signals import post_save

    post_save.connect(receiver, sender=Session)
    User.objects.create_superuser("ada", password="lovelace")
    client.post("/admin/login/", {"username": "ada", "password": "lovelace"})
    post_save.disconnect(receiver, sender=Session)
    assert seen
    assert set(seen) == {"/admin/login/"}


def test_a_login_is_known_on_the_next_page_and_a_logout_ends_it(client: Client) -> None:
    User.objects.create_superuser("ada", password="lovelace")
    with assert_routed_to("primary", reason="write_method"):
        assert client.post("/admin/login/", {"username": "ada", "password": "lovelace"}).status_code == 302
    with assert_routed_to("primary", reason="primary_model"):
        assert client.get("/admin/").status_code == 200
    client.post("/admin/logout/")
    assert client.get("/admin/").status_code == 302


def test_nothing_is_evaluated_that_adds_vary_cookie(client: Client) -> None:
    assert "Vary" not in client.get("/where")
