"""What do clients get, and the log, while no primary answers?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import OperationalError, connections
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path
from django.utils import translation

from django_gmf_router import clusters, unavailable
from django_gmf_router.exceptions import PrimaryBusy, PrimaryUnavailable
from django_gmf_router.middleware import RoutingMiddleware
from django_gmf_router.unavailable import LINE_SECONDS, Repeated, failure_behind, unsaved_sessions
from tests import settings as site
from tests import urls
from tests.books.models import Book

pytestmark = pytest.mark.django_db

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
ROUTING, *OTHERS = site.MIDDLEWARE
SAVED_BY_NOBODY = "Nothing can be saved right now"


def needs_the_primary(request: HttpRequest) -> HttpResponse:
    raise PrimaryUnavailable("default")


def wraps_the_failure(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the order was not placed") from PrimaryUnavailable("default")


def has_a_bug_of_its_own(request: HttpRequest) -> HttpResponse:
    try:
        raise PrimaryUnavailable("default")
    except PrimaryUnavailable:
        raise KeyError("while it handled that") from None


def own_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the site's own page", status=503)


def own_lazy_page(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "gmf_router/503.html", {"detail": "rendered late"}, status=503)


async def own_async_page(request: HttpRequest) -> HttpResponse:
    return own_page(request)


def page_that_needs_the_primary(request: HttpRequest) -> HttpResponse:
    raise PrimaryUnavailable("default")


def touches_its_session(request: HttpRequest) -> HttpResponse:
    request.session["seen"] = True
    return HttpResponse("served")


async def saves_its_session(request: HttpRequest) -> HttpResponse:
    await request.session.aset("seen", True)
    await request.session.asave()
    return HttpResponse("served")


def reads(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Book.objects.count()))


def who(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.user.get_username() or "nobody")


async def who_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await request.auser()).get_username() or "nobody")


def logs_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("good bye")


def logs_in(request: HttpRequest) -> HttpResponse:
    request.session.cycle_key()
    login(request, User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("welcome")


def asks_for_the_user(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware as many sites have one."""

    def middleware(request: HttpRequest) -> HttpResponse:
        assert request.user.is_anonymous or request.user.is_active
        return get_response(request)

    return middleware


def needs_the_primary_itself(get_response: Any) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware that writes."""

    def middleware(request: HttpRequest) -> HttpResponse:
        raise PrimaryUnavailable("default")

    return middleware


class Own:
    """A URLconf that has its own page."""

    urlpatterns = [path("needs", needs_the_primary)]
    handler503 = own_page


class Lazy(Own):
    """Its page is rendered when it is sent."""

    handler503 = own_lazy_page


class Async(Own):
    """Its page is a coroutine."""

    handler503 = own_async_page


class Broken(Own):
    """Its page fails."""

    handler503 = page_that_needs_the_primary


class BothPagesNeedThePrimary(Own):
    """As Django's own handler500 does with CSRF_USE_SESSIONS."""

    handler503 = handler500 = page_that_needs_the_primary


urlpatterns = [
    *urls.urlpatterns,
    path("needs", needs_the_primary),
    path("wraps", wraps_the_failure),
    path("bug", has_a_bug_of_its_own),
    path("touch", touches_its_session),
    path("save-session", saves_its_session),
    path("who", who),
    path("reads", reads),
    path("who-async", who_async),
    path("logs-out", logs_out),
    path("logs-in", logs_in),
]


@pytest.fixture(autouse=True)
def _these_urls(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(unavailable, "REFUSED", Repeated({"event": "unavailable"}))
    monkeypatch.setattr(unsaved_sessions, "UNSAVED", Repeated({"event": "session_not_saved"}))
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.fixture
def anybody() -> Client:
    """A client that gets what a browser gets, also where the site fails."""
    return Client(raise_request_exception=False)


def with_middleware(*added: str, **settings: Any) -> AbstractContextManager[Any]:
    names = [name if "." in name else f"{__name__}.{name}" for name in added]
    return override_settings(MIDDLEWARE=[ROUTING, *OTHERS, *names], **settings)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.event for record in caplog.records if record.name == "django_gmf_router"]  # type: ignore[attr-defined]


# What the client gets


@pytest.mark.parametrize(
    ("accept", "content_type", "text"),
    [
        ("text/html", "text/html; charset=utf-8", "Read only for a moment"),
        (BROWSER, "text/html; charset=utf-8", SAVED_BY_NOBODY),
        ("application/json", "application/json", SAVED_BY_NOBODY),
        ("application/json, text/html;q=0.5", "application/json", SAVED_BY_NOBODY),
        # What curl, requests, fetch(), QGIS and GDAL send.
        ("*/*", "application/json", SAVED_BY_NOBODY),
        ("image/png", "application/json", SAVED_BY_NOBODY),
        ("text/html;q=0, */*", "application/json", SAVED_BY_NOBODY),
        ("", "application/json", SAVED_BY_NOBODY),
    ],
)
def test_a_view_that_needs_the_primary_answers_503(client: Client, accept: str, content_type: str, text: str) -> None:
    response = client.post("/needs", headers={"accept": accept})
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert response["Content-Type"] == content_type
    assert text in response.content.decode()


def test_a_client_that_says_nothing_of_what_it_reads_gets_json(client: Client) -> None:
    response = client.post("/needs")
    assert list(response.json()) == ["detail"]


JINJA_ALONE = [{"BACKEND": "django.template.backends.jinja2.Jinja2", "APP_DIRS": True}]
NO_APP_DIRS = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]


@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
@pytest.mark.parametrize("templates", [[], NO_APP_DIRS, JINJA_ALONE], ids=["none", "no APP_DIRS", "Jinja2"])
def test_no_template_engine_needs_to_find_the_page(client: Client, templates: list[Any], accept: str) -> None:
    with override_settings(TEMPLATES=templates):
        response = client.post("/needs", headers={"accept": accept})
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert SAVED_BY_NOBODY in response.content.decode()


def test_the_app_need_not_be_installed(client: Client) -> None:
    installed = [name for name in site.INSTALLED_APPS if name != "django_gmf_router"]
    with override_settings(INSTALLED_APPS=installed):
        response = client.post("/needs", headers={"accept": "text/html"})
    assert (response.status_code, response["Retry-After"]) == (503, "2")


def test_a_page_of_the_site_that_does_not_compile_is_logged_and_replaced(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {"loaders": [("django.template.loaders.locmem.Loader", {unavailable.TEMPLATE: "{% if %}"})]}
    with override_settings(TEMPLATES=[{**NO_APP_DIRS[0], "OPTIONS": broken}]):
        response = client.post("/needs", headers={"accept": "text/html"})
    assert (response.status_code, SAVED_BY_NOBODY in response.content.decode()) == (503, True)
    assert events(caplog) == ["unavailable", "error_page"]


@pytest.mark.parametrize("site_of", [Own, Lazy, Async])
@pytest.mark.parametrize("middleware", [(), ("needs_the_primary_itself",)], ids=["view", "middleware"])
def test_the_page_can_be_the_sites_own(anybody: Client, site_of: Any, middleware: tuple[str, ...]) -> None:
    with with_middleware(*middleware, ROOT_URLCONF=site_of):
        response = anybody.post("/needs")
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert b"the site's own page" in response.content or b"rendered late" in response.content


def test_a_page_of_the_sites_own_that_needs_the_primary_is_replaced(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(ROOT_URLCONF=Broken):
        response = client.post("/needs")
    assert (response.status_code, list(response.json())) == (503, ["detail"])
    assert events(caplog) == ["unavailable", "error_page"]


def test_who_comes_when_the_primary_has_all_the_reads_it_can_take_is_told_so(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, unmirrored: None
) -> None:
    monkeypatch.setattr(unavailable, "SPILLED", Repeated({"event": "spill"}))
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"], "SPILL": 0}}):
        clusters.registry().clusters[0].monitor.report_failure("replica_1", "connection refused")
        response = client.get("/reads")
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert response.json() == {"detail": PrimaryBusy.TOO_MANY}
    assert events(caplog) == ["node_down", "no_replica", "spill"]


def test_who_develops_the_site_is_told_the_cause(client: Client) -> None:
    failure = PrimaryUnavailable("default", "no such database")
    with override_settings(DEBUG=True):
        response = unavailable.respond(RequestFactory().post("/"), failure)
    assert "no such database" in response.content.decode()
    assert "no such database" not in unavailable.respond(RequestFactory().post("/"), failure).content.decode()


def test_who_lost_the_primary_in_the_middle_of_a_write_is_told_to_look(client: Client) -> None:
    lost = PrimaryUnavailable("default", may_be_saved=True)
    for accept in ("text/html", "application/json"):
        response = unavailable.respond(RequestFactory().post("/", headers={"accept": accept}), lost)
        assert "It may have been saved. Look before you try again." in response.content.decode()


# Wherever it is noticed


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("page", [Own, BothPagesNeedThePrimary])
def test_a_middleware_that_needs_the_primary_answers_503_whatever_becomes_of_the_error_page(
    anybody: Client, page: Any, debug: bool
) -> None:
    with with_middleware("needs_the_primary_itself", ROOT_URLCONF=page, DEBUG=debug):
        response = anybody.post("/needs")
    assert (response.status_code, response["Retry-After"]) == (503, "2")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("page", [Own, BothPagesNeedThePrimary])
def test_the_same_holds_under_asgi(page: Any) -> None:
    with with_middleware("needs_the_primary_itself", ROOT_URLCONF=page):
        response = async_to_sync(AsyncClient(raise_request_exception=False).post)("/needs")
    assert (response.status_code, response["Retry-After"]) == (503, "2")


def test_csrf_in_sessions_of_a_database_answers_503(away: Client) -> None:
    csrf = "django.middleware.csrf.CsrfViewMiddleware"
    with with_middleware(csrf, "needs_the_primary_itself", CSRF_USE_SESSIONS=True):
        assert away.post("/touch").status_code == 503


def test_an_error_whose_page_needs_the_primary_answers_503_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def get_response(request: HttpRequest) -> HttpResponse:
        try:
            raise KeyError("a bug")
        except KeyError:
            return page_that_needs_the_primary(request)

    assert RoutingMiddleware(get_response)(RequestFactory().post("/")).status_code == 503
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert repr(record.exc_info[1].__context__) == "KeyError('a bug')"  # type: ignore[union-attr]


def test_an_error_that_was_raised_from_it_answers_503(client: Client) -> None:
    assert client.post("/wraps").status_code == 503


@pytest.mark.parametrize("address", ["/save?fail", "/bug"])
def test_other_errors_stay_what_they_are(anybody: Client, address: str) -> None:
    assert anybody.post(address).status_code == 500


def test_an_error_that_is_its_own_cause_is_no_missing_primary() -> None:
    error = KeyError()
    error.__cause__ = error
    assert failure_behind(error) is None


# Sessions


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, db: None) -> Client:
    """A client that is logged in, before the primary went."""
    User.objects.create_superuser("ada", password="lovelace")
    client = Client(raise_request_exception=False)
    client.login(username="ada", password="lovelace")
    client.get("/who")

    def unavailable_now(*args: Any, **kwargs: Any) -> None:
        raise PrimaryUnavailable("default")

    monkeypatch.setattr(Session, "save", unavailable_now)
    monkeypatch.setattr(Session, "delete", unavailable_now)
    return client


@pytest.mark.parametrize("engine", ["db", "cached_db"])
def test_a_get_whose_session_cannot_be_saved_is_served_and_says_so_in_the_log(
    away: Client, caplog: pytest.LogCaptureFixture, engine: str
) -> None:
    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}"):
        response = away.get("/touch")
    assert (response.status_code, response.content) == (200, b"served")
    assert events(caplog) == ["session_not_saved"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("method", "status"), [("get", 200), ("post", 503)])
def test_a_session_that_an_async_view_saves(away: Client, method: str, status: int) -> None:
    client = AsyncClient(raise_request_exception=False)
    client.cookies = away.cookies
    assert async_to_sync(getattr(client, method))("/save-session").status_code == status


def test_a_post_whose_session_cannot_be_saved_answers_503(away: Client) -> None:
    response = away.post("/touch")
    assert (response.status_code, response["Retry-After"]) == (503, "2")


@pytest.mark.parametrize(("method", "status"), [("get", 404), ("post", 503)])
def test_a_session_that_is_saved_with_every_page_is_no_other_case(away: Client, method: str, status: int) -> None:
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        assert getattr(away, method)("/nowhere").status_code == status


@pytest.mark.parametrize("middleware", [(), ("asks_for_the_user",)], ids=["view", "middleware"])
@pytest.mark.parametrize("address", ["/who", "/who-async"])
def test_a_get_whose_session_ends_since_the_password_was_changed_is_anonymous(
    away: Client, middleware: tuple[str, ...], address: str
) -> None:
    User.objects.update(password="changed elsewhere")
    with with_middleware(*middleware):
        response = away.get(address)
    assert (response.status_code, response.content) == (200, b"nobody")
    assert response.cookies["sessionid"].value == ""


def test_a_login_page_is_what_a_get_of_the_admin_then_gets(away: Client) -> None:
    User.objects.update(password="changed elsewhere")
    response = away.get("/admin/", follow=True)
    assert (response.status_code, response.request["PATH_INFO"]) == (200, "/admin/login/")


def test_a_get_whose_session_is_renewed_since_the_secret_key_was_changed_keeps_its_session(away: Client) -> None:
    key = away.cookies["sessionid"].value
    with override_settings(SECRET_KEY="a new one", SECRET_KEY_FALLBACKS=[site.SECRET_KEY]):
        response = away.get("/who")
    assert (response.status_code, response.content) == (200, b"ada")
    assert away.cookies["sessionid"].value == key


@pytest.mark.parametrize("address", ["/logs-out", "/logs-in"])
def test_a_get_that_logs_in_or_out_is_not_told_that_it_is_done(away: Client, address: str) -> None:
    assert away.get(address).status_code == 503


def test_another_error_of_a_session_stays_what_it_is(away: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("disk full")

    monkeypatch.setattr(Session, "save", fails)
    assert away.get("/touch").status_code == 400  # Django's answer to a session that cannot be updated


@pytest.mark.django_db(transaction=True)
def test_a_transaction_around_the_view_changes_nothing(away: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    User.objects.update(password="changed elsewhere")
    assert away.get("/who").content == b"nobody"


# The log


def test_the_first_503_is_logged_and_the_others_are_counted(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        client.post("/needs")
    assert [record.name for record in caplog.records] == ["django_gmf_router"]
    assert caplog.messages[0].startswith("POST /needs is answered 503: The primary 'default' does not answer")


def test_no_administrator_is_mailed(anybody: Client, caplog: pytest.LogCaptureFixture) -> None:
    def errors() -> list[str]:
        return [record.name for record in caplog.records if record.levelno >= logging.ERROR]

    # What Django mails to ADMINS.
    assert "AdminEmailHandler" in [type(each).__name__ for each in logging.getLogger("django").handlers]
    anybody.post("/needs")
    with with_middleware("needs_the_primary_itself"):
        Client(raise_request_exception=False).post("/needs")
    assert errors() == []
    anybody.post("/bug")
    assert errors() == ["django.request"]


def test_a_line_a_minute_says_how_many_there_were(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    repeated = Repeated({"event": "unavailable"}, lambda: now[0])
    for _ in range(3):
        repeated.warn("first\nof them")
    now[0] += LINE_SECONDS
    repeated.warn("second")
    now[0] += LINE_SECONDS
    repeated.warn("third")
    assert caplog.messages == ["first of them", "second (2 more since the last such line)", "third"]


# In which language


LOCALE = "django.middleware.locale.LocaleMiddleware"
GERMAN = "Im Moment kann nichts gespeichert werden."


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_site_of_one_language_says_it_in_that(client: Client, accept: str) -> None:
    with override_settings(LANGUAGE_CODE="de"):
        response = client.post("/needs", headers={"accept": accept, "accept-language": "fr"})
    assert GERMAN in response.content.decode()
    assert response["Content-Language"] == "de"


@pytest.mark.parametrize(
    ("language", "given", "text"),
    [
        ("de-CH, en;q=0.5", "de", GERMAN),
        ("fr", "fr", "Rien ne peut être enregistré pour le moment."),
        ("it", "it", "Al momento non è possibile salvare nulla."),
        # Not translated: English, and it says so.
        ("ja", "en", SAVED_BY_NOBODY),
    ],
)
def test_a_site_of_several_languages_says_it_in_that_of_the_request(
    client: Client, language: str, given: str, text: str
) -> None:
    # Django leaves active what a request activated.
    with with_middleware(LOCALE), translation.override("en"):
        response = client.post("/needs", headers={"accept": "text/html", "accept-language": language})
    page = response.content.decode()
    assert text in page
    assert f'<html lang="{given}">' in page
    assert response["Content-Language"] == given


def test_a_request_that_fails_before_its_language_is_known_is_not_answered_in_that_of_another(anybody: Client) -> None:
    middleware = [ROUTING, f"{__name__}.needs_the_primary_itself", LOCALE]
    with override_settings(MIDDLEWARE=middleware), translation.override("fr"):
        response = anybody.post("/needs", headers={"accept": "application/json", "accept-language": "de"})
    assert response.json()["detail"].startswith(GERMAN)


def test_without_a_template_engine_the_page_is_translated_too(client: Client) -> None:
    with override_settings(TEMPLATES=[], LANGUAGE_CODE="de"):
        page = client.post("/needs", headers={"accept": "text/html"}).content.decode()
    assert "<h1>Für einen Moment nur lesbar</h1>" in page
