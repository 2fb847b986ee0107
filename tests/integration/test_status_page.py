"""Who may see the status page and steer by it, and does it tell the truth?"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from django.urls import include, path, reverse
from django.utils import translation

from django_gmf_router import clusters
from django_gmf_router.control import changes
from django_gmf_router.replicas.health import NodeHealth, State
from django_gmf_router.settings.values import Role

pytestmark = [
    pytest.mark.urls("tests.browser.urls"),
    pytest.mark.django_db,
]
WITHOUT_ADMIN = (path("gmf/", include("django_gmf_router.urls")),)
WITHOUT_PAGE = (path("admin/", admin.site.urls),)
PAGE, DATA = "/gmf/status", "/gmf/status.json"
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
ASKED = list(itertools.product(VERBS, (PAGE, DATA)))
SHARE = {"action": "share", "value": "50"}
HOST = "db-17.internal"


def client_of(kind: str) -> Client:
    """A client of somebody: "anonymous", "user", "inactive", "staff", or staff with a permission."""
    client = Client()
    if kind == "anonymous":
        return client
    user = User.objects.create_user(kind, is_staff=kind != "user", is_active=kind != "inactive")
    if kind in {"control", "view_control"}:
        user.user_permissions.add(Permission.objects.get(content_type__app_label="gmf_router", codename=kind))
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def registry() -> Iterator[clusters.Cluster]:
    """The cluster, built anew: what it counts begins with nothing."""
    clusters.registry.cache_clear()
    (cluster,) = clusters.registry().clusters
    yield cluster
    clusters.registry.cache_clear()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was changed, in place of a table that only PostgreSQL has."""
    calls: list[tuple[Any, ...]] = []

    def note(name: str) -> Any:
        return lambda config, *args, by, reason: calls.append((name, config.primary, *args, by, reason))

    for name in ("set_share", "set_maintenance", "drain", "undrain"):
        monkeypatch.setattr(changes, name, note(name), raising=False)
    return calls


def answer(client: Client, verb: str, url: str) -> Any:
    return client.generic(verb, url, "action=share&value=50", content_type="application/x-www-form-urlencoded")


# Who


@pytest.mark.parametrize(("verb", "url"), ASKED)
@pytest.mark.parametrize("kind", ["anonymous", "inactive"])
def test_who_is_not_logged_in_is_sent_to_log_in_whatever_is_asked(
    said: list[Any], kind: str, verb: str, url: str
) -> None:
    response = answer(client_of(kind), verb, url)
    assert (response.status_code, response.content, said) == (302, b"", [])
    assert response.headers["Location"] == f"/admin/login/?next={url.replace('/', '%2F')}"


@pytest.mark.parametrize(("verb", "url"), ASKED)
def test_who_is_no_staff_is_refused_whatever_is_asked(said: list[Any], verb: str, url: str) -> None:
    response = answer(client_of("user"), verb, url)
    assert (response.status_code, said) == (403, [])
    assert b"replica" not in response.content


@pytest.mark.parametrize(("verb", "url"), ASKED)
@pytest.mark.parametrize("kind", ["staff", "view_control"])
def test_staff_without_the_permission_may_only_look(said: list[Any], kind: str, verb: str, url: str) -> None:
    response = answer(client_of(kind), verb, url)
    expected = 200 if verb in {"GET", "HEAD"} else 403 if (verb, url) == ("POST", PAGE) else 405
    assert (response.status_code, said) == (expected, [])
    assert b"csrfmiddlewaretoken" not in response.content.partition(b'id="gmf-status"')[2]


def test_only_the_page_takes_orders(said: list[Any]) -> None:
    client = client_of("control")
    assert {verb: answer(client, verb, DATA).status_code for verb in VERBS if verb not in {"GET", "HEAD"}} == {
        verb: 405 for verb in VERBS if verb not in {"GET", "HEAD"}
    }
    assert said == []


def test_an_order_without_the_token_of_the_form_is_refused_also_on_a_site_without_the_middleware(
    said: list[Any],
) -> None:
    client = client_of("control")
    client.handler.enforce_csrf_checks = True
    assert client.post(PAGE, SHARE).status_code == 403
    assert said == []
    client.get(PAGE)
    token = client.cookies["csrftoken"].value
    assert client.post(PAGE, {**SHARE, "csrfmiddlewaretoken": token}).status_code == 302
    assert said == [("set_share", "default", 0.5, "control", "")]


def test_the_page_may_not_be_framed_nor_cached() -> None:
    response = client_of("staff").get(PAGE)
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(("kind", "sees"), [("staff", False), ("view_control", False), ("control", True)])
def test_only_who_may_steer_sees_where_the_nodes_are(registry: clusters.Cluster, kind: str, sees: bool) -> None:
    registry.monitor.publish(
        {
            **registry.monitor.snapshot,
            "replica_1": NodeHealth(
                alias="replica_1",
                role=Role.REPLICA,
                since=0.0,
                state=State.DOWN,
                error=f'connection to server at "{HOST}" failed',
            ),
        }
    )
    client = client_of(kind)
    assert (HOST in client.get(PAGE).content.decode()) is sees
    assert (HOST in client.get(DATA).content.decode()) is sees


# The admin's index


@pytest.mark.parametrize("kind", ["staff", "control"])
def test_the_index_of_the_admin_leads_all_of_the_staff_to_the_page(kind: str) -> None:
    client = client_of(kind)
    link = reverse("admin:gmf_router_status_changelist")
    assert f'href="{link}"' in client.get("/admin/").content.decode()
    assert client.get(link).headers["Location"] == PAGE


def test_a_site_without_the_page_has_no_link_to_it() -> None:
    client = client_of("staff")
    with override_settings(ROOT_URLCONF=WITHOUT_PAGE):
        assert "status of the clusters" not in client.get("/admin/").content.decode().lower()


@pytest.mark.parametrize("page", ["add/", "1/change/", "1/delete/", "1/history/"])
def test_the_line_of_the_index_opens_nothing_else_of_the_admin(page: str) -> None:
    response = client_of("control").get(f"/admin/gmf_router/status/{page}")
    assert response.status_code in {302, 403}
    assert "Location" not in response.headers or response.headers["Location"] == "/admin/"


# Orders


@pytest.mark.parametrize(
    ("fields", "call"),
    [
        ({"action": "share", "value": "12.5"}, ("set_share", "default", 0.125)),
        ({"action": "share", "value": "reset", "alias": "default"}, ("set_share", "default", None)),
        ({"action": "maintenance", "value": "on"}, ("set_maintenance", "default", True)),
        ({"action": "maintenance", "value": "off"}, ("set_maintenance", "default", False)),
        ({"action": "drain", "alias": "replica_2"}, ("drain", "default", "replica_2")),
        ({"action": "undrain", "alias": "replica_2"}, ("undrain", "default", "replica_2")),
    ],
)
def test_an_order_is_carried_out_in_the_name_of_who_gave_it(
    said: list[Any], fields: dict[str, str], call: tuple[Any, ...]
) -> None:
    response = client_of("control").post(PAGE, {**fields, "reason": " a bad day "}, follow=True)
    assert said == [(*call, "control", "a bad day")]
    assert response.redirect_chain == [(PAGE, 302)]
    assert '<li class="success">' in response.content.decode()


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "action: This field is required."),
        ({"action": "promote"}, "action: Select a valid choice. promote is not one of the available choices."),
        ({"action": "share", "value": "110"}, "share: say a number of per cent from 0 to 100, or reset."),
        ({"action": "share", "value": "nan"}, "share: say a number of per cent from 0 to 100, or reset."),
        ({"action": "share"}, "share: say a number of per cent from 0 to 100, or reset."),
        (
            {"action": "share", "value": "1", "alias": "replica_1"},
            "&#x27;replica_1&#x27; is no primary of a cluster in GMF_ROUTER: &#x27;default&#x27;.",
        ),
        ({"action": "maintenance", "value": "maybe"}, "maintenance: say on or off."),
        (
            {"action": "drain", "alias": "default"},
            "drain: &#x27;default&#x27; is no replica: &#x27;replica_1&#x27;, &#x27;replica_2&#x27;.",
        ),
        ({"action": "share", "value": "1", "reason": "\0"}, "reason: Null characters are not allowed."),
    ],
)
def test_nonsense_is_refused_in_one_line(said: list[Any], fields: dict[str, str], line: str) -> None:
    response = client_of("control").post(PAGE, fields)
    assert (response.status_code, said) == (400, [])
    assert f'<p class="errornote" role="alert">{line}</p>' in response.content.decode()


def test_a_database_that_cannot_be_steered_says_so() -> None:
    response = client_of("control").post(PAGE, SHARE)
    assert response.status_code == 409
    assert "is no PostgreSQL: only that can be steered." in response.content.decode()


# What it tells


def data(client: Client, **query: str) -> Any:
    return json.loads(client.get(DATA, query).content)


def test_the_rules_tell_how_many_requests_they_decided(registry: clusters.Cluster) -> None:
    client = client_of("staff")
    for page in ("/s/abc", "/s/def", "/where"):
        client.get(page)
    client.post("/printproxy/report")
    client.get("/printproxy/report")
    data(client, method="GET", path="/s/xyz")
    (cluster,) = data(client)["clusters"]
    assert [(rule["key"], rule["requests"]) for rule in cluster["rules"]] == [("master", 2), ("slave", 1)]


def test_a_rule_that_was_never_hit_is_marked() -> None:
    (cluster,) = data(client_of("staff"))["clusters"]
    assert {(row["mark"], row["cells"]["requests"]) for row in cluster["shown"]["tables"]["rules"]} == {
        ("never", "never")
    }
    page = client_of("control").get(PAGE).content.decode()
    assert page.count('<tr role="row" data-mark="never">') == 2


@pytest.mark.parametrize("url", [PAGE, DATA])
def test_a_request_is_explained(url: str) -> None:
    client = client_of("staff")
    response = client.get(url, {"method": "get", "path": "/s/abc?x=1"})
    if url == DATA:
        (found,) = response.json()["explanations"]
        assert (found["path"], found["role"], found["reason"]) == ("/s/abc", "primary", "master_override")
    else:
        page = response.content.decode()
        assert "<h3>GET /s/abc</h3>" in page
        assert "reason <code>master_override</code>" in page
        assert "It beat rule 10: GET is in READ_METHODS (replica, read_method)" in page


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"method": "GET", "path": "s/abc"}, "Path: The path begins with a slash"),
        ({"method": "GET /", "path": "/"}, "Method: Enter a valid value."),
        ({"method": "GET", "path": ""}, "Path: This field is required."),
    ],
)
def test_a_question_that_is_none_is_told_so_and_explained_nothing(query: dict[str, str], line: str) -> None:
    client = client_of("staff")
    assert line in client.get(PAGE, query).content.decode()
    assert data(client, **query)["explanations"] == []


def test_what_people_type_is_shown_as_text(said: list[Any]) -> None:
    client, attack = client_of("control"), '"><script>alert(1)</script>'
    pages = [
        client.get(PAGE, {"method": "GET", "path": f"/{attack}"}),
        client.get(PAGE, {"method": attack, "path": "/"}),
        client.post(PAGE, {"action": "drain", "alias": attack}),
        client.post(PAGE, {"action": attack}),
    ]
    assert [
        page for page in pages if "<script>" in page.content.decode() or b"&lt;script&gt;" not in page.content
    ] == []


def test_a_node_that_nobody_has_asked_is_unknown() -> None:
    (cluster,) = data(client_of("staff"))["clusters"]
    assert {node["state"] for node in cluster["nodes"]} == {"unknown"}


def test_the_page_holds_no_inline_script_or_style() -> None:
    page = client_of("control").get(PAGE).content.decode()
    assert "style=" not in page
    assert "<style" not in page
    assert page.count("<script") == page.count("<script src=")


def test_a_site_without_the_admin_has_a_page_all_the_same() -> None:
    client = client_of("control")
    with override_settings(ROOT_URLCONF=WITHOUT_ADMIN, LOGIN_URL="/enter"):
        page = client.get(PAGE).content.decode()
        assert Client().get(PAGE).headers["Location"] == "/enter?next=%2Fgmf%2Fstatus"
    assert 'href="/static/gmf_router/base.css"' in page
    assert "<h1>Status of the clusters</h1>" in page


@pytest.mark.parametrize(
    ("language", "title", "state", "fact"),
    [
        ("de", "Zustand der Cluster", "unbekannt", "Replikate bedienen 100% der Clients, nach SHARE."),
        ("fr", "État des clusters", "inconnu", "Les réplicas servent 100% des clients, selon SHARE."),
        ("it", "Stato dei cluster", "sconosciuto", "Le repliche servono 100% dei client, secondo SHARE."),
    ],
)
def test_the_page_and_each_poll_speak_the_language_of_who_looks(
    language: str, title: str, state: str, fact: str
) -> None:
    client = client_of("control")
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    middleware = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    # Django leaves active what a request activated.
    with override_settings(MIDDLEWARE=middleware), translation.override("en"):
        page = client.get(PAGE).content.decode()
        (cluster,) = data(client)["clusters"]
    assert f"<h1>{title}</h1>" in page
    assert f'<div id="gmf-status" lang="{language}"' in page
    assert fact in page
    assert fact in cluster["shown"]["facts"]
    (node, *_) = cluster["shown"]["tables"]["nodes"]
    assert node["cells"]["state"].startswith(f"{state} ")
    # What styles and scripts go by is the same in each language.
    assert (node["mark"], cluster["nodes"][0]["state"]) == ("unknown", "unknown")
