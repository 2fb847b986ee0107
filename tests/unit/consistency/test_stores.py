"""Does each store give a client its token and take it back, and leave everything else alone?"""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache, caches
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from django.utils.cache import patch_cache_control

from django_gmf_router.consistency import stores, tokens
from django_gmf_router.consistency.tokens import Mark, Token
from django_gmf_router.settings.sections import ConsistencyConfig

NAMES = ("cookie", "header", "cache")
HEADER = "GMF-Consistency-Token"


@pytest.fixture(autouse=True)
def _empty_cache() -> Any:
    cache.clear()
    yield
    cache.clear()


def store(name: str, **changed: Any) -> stores.Store:
    return stores.STORES[name](ConsistencyConfig(store=name, **changed))


def get(path: str = "/", session: str | None = None, **headers: Any) -> HttpRequest:
    factory = RequestFactory()
    if session is not None:
        factory.cookies[settings.SESSION_COOKIE_NAME] = session
    return factory.get(path, **headers)


def text(position: int) -> str:
    mark = Mark(cluster="default", system_identifier="7", timeline=1, position=position)
    return tokens.dumps(Token(time=time.time(), marks=(mark,)))


def position(found: str | None) -> int | None:
    token = tokens.loads(found, max_age_seconds=60, now=time.time())
    mark = token.mark("default") if token else None
    return mark.position if mark else None


def follow(request: HttpRequest, response: HttpResponse) -> HttpRequest:
    """Return the next request of the client that was given `response`."""
    factory = RequestFactory()
    factory.cookies.load(request.META.get("HTTP_COOKIE", ""))
    for name, morsel in response.cookies.items():
        factory.cookies[name] = morsel.value
    headers = {HEADER: response.headers[HEADER]} if HEADER in response.headers else {}
    return factory.get("/", headers=headers)


# All of them


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_was_given_nothing_has_no_token(name: str) -> None:
    assert store(name).read(get()) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_client_brings_back_what_it_was_given(name: str) -> None:
    request, response = get(session="abc"), HttpResponse()
    store(name).write(request, response, "text")
    assert store(name).read(follow(request, response)) == "text"


@pytest.mark.parametrize("name", NAMES)
def test_reading_changes_nothing(name: str) -> None:
    request, response = get(session="abc"), HttpResponse()
    store(name).write(request, response, "text")
    follower = follow(request, response)
    assert [store(name).read(follower) for _ in range(3)] == ["text"] * 3


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_added_to_vary(name: str) -> None:
    response = HttpResponse()
    store(name).write(get(session="abc"), response, "text")
    assert "Vary" not in response.headers


@pytest.mark.parametrize("name", ["cookie", "header"])
def test_a_response_with_a_token_is_kept_from_shared_caches(name: str) -> None:
    response = HttpResponse()
    patch_cache_control(response, public=True, max_age=300)
    store(name).write(get(), response, "text")
    directives = {directive.strip() for directive in response.headers["Cache-Control"].split(",")}
    assert directives == {"private", "max-age=300"}


def test_a_response_whose_token_is_kept_in_the_cache_is_left_alone() -> None:
    response = HttpResponse()
    store("cache").write(get(session="abc"), response, "text")
    assert (dict(response.headers), dict(response.cookies)) == ({"Content-Type": "text/html; charset=utf-8"}, {})


@pytest.mark.parametrize("name", NAMES)
def test_a_store_says_whether_it_reaches_a_client_after_the_headers(name: str) -> None:
    assert store(name).writes_late == (name == "cache")


# The cookie


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_is_for_this_site_and_no_script_and_ends_by_itself(secure: bool) -> None:
    response = HttpResponse()
    store("cookie", max_age=59.2).write(get(secure=secure), response, "text")
    cookie = response.cookies["gmf_token"]
    assert cookie.value == "text"
    assert (cookie["max-age"], cookie["path"], cookie["samesite"]) == (60, "/", "Lax")
    assert (bool(cookie["httponly"]), bool(cookie["secure"]), cookie["domain"]) == (True, secure, "")


def test_the_cookie_has_the_configured_name() -> None:
    response = HttpResponse()
    store("cookie", cookie_name="other").write(get(), response, "text")
    assert list(response.cookies) == ["other"]


def test_of_two_cookies_of_the_name_the_last_is_read() -> None:
    assert store("cookie").read(get(HTTP_COOKIE="gmf_token=one; gmf_token=two")) == "two"


@pytest.mark.parametrize("raw", ["gmf_token", "gmf_token=", "=", ";;;", "gmf_token=\x00", "gmf_token=é", 'gmf_token="'])
def test_a_broken_cookie_header_is_no_token(raw: str) -> None:
    found = store("cookie").read(get(HTTP_COOKIE=raw))
    assert tokens.loads(found, max_age_seconds=60, now=time.time()) is None


def test_a_real_token_needs_no_quoting_as_a_cookie() -> None:
    response, real = HttpResponse(), text(5)
    store("cookie").write(get(), response, real)
    assert response.cookies["gmf_token"].OutputString().startswith(f"gmf_token={real};")


# The header


def test_the_header_has_the_configured_name() -> None:
    response, named = HttpResponse(), store("header", header="X-Seen")
    named.write(get(), response, "text")
    assert response.headers["X-Seen"] == "text"
    assert named.read(get(headers={"x-seen": "text"})) == "text"


def test_the_header_store_reads_no_cookie_and_the_cookie_store_no_header() -> None:
    both = get(HTTP_COOKIE="gmf_token=cookie", headers={HEADER: "header"})
    assert (store("header").read(both), store("cookie").read(both)) == ("header", "cookie")


# The cache


def test_a_session_is_another_clients_than_another_session() -> None:
    store("cache").write(get(session="abc"), HttpResponse(), "text")
    assert store("cache").read(get(session="abd")) is None


def test_a_client_without_a_session_keeps_nothing() -> None:
    store("cache").write(get(), HttpResponse(), "text")
    assert store("cache").read(get()) is None


def test_a_client_that_sends_credentials_is_known_by_them() -> None:
    basic = {"authorization": "Basic dXNlcjpwYXNz"}
    store("cache").write(get(headers=basic), HttpResponse(), "text")
    assert store("cache").read(get(headers=basic)) == "text"
    assert store("cache").read(get(headers={"authorization": "Basic b3RoZXI6cGFzcw=="})) is None


def test_a_client_that_ignores_cookies_is_known_by_its_credentials_though_it_was_given_a_session() -> None:
    basic = {"authorization": "Basic dXNlcjpwYXNz"}
    request = get(headers=basic)
    request.session = SimpleNamespace(session_key="new")  # type: ignore[assignment]
    store("cache").write(request, HttpResponse(), "text")
    assert store("cache").read(get(headers=basic)) == "text"


def test_after_a_login_the_token_is_kept_for_the_new_session() -> None:
    request = get(session="before")
    request.session = SimpleNamespace(session_key="after")  # type: ignore[assignment]
    store("cache").write(request, HttpResponse(), "text")
    assert store("cache").read(get(session="after")) == "text"


def test_after_a_logout_nothing_is_kept() -> None:
    request = get(session="before")
    request.session = SimpleNamespace(session_key=None)  # type: ignore[assignment]
    store("cache").write(request, HttpResponse(), "text")
    assert store("cache").read(get(session="before")) is None


def test_neither_the_session_nor_the_user_is_loaded() -> None:
    class Session:
        accessed = modified = False
        session_key = "abc"

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"the session's {name} was asked for")

    class Request(RequestFactory):
        pass

    request = Request().get("/")
    request.session = Session()  # type: ignore[assignment]
    type(request).user = property(lambda self: pytest.fail("the user was asked for"))  # type: ignore[attr-defined]
    try:
        store("cache").write(request, HttpResponse(), "text")
    finally:
        del type(request).user  # type: ignore[attr-defined]
    assert store("cache").read(get(session="abc")) == "text"


def test_a_real_session_is_not_marked_as_accessed() -> None:
    from django.contrib.sessions.backends.cache import SessionStore

    request = get(session="abc")
    request.session = SessionStore("abc")
    store("cache").write(request, HttpResponse(), "text")
    assert (request.session.accessed, request.session.modified) == (False, False)


@pytest.mark.parametrize("session", ["x" * 8192, "\x00 \n", "é", "\udcff", "gmf:*?[]"])
def test_a_strange_session_key_is_as_good_as_any(session: str) -> None:
    request = get()
    request.COOKIES[settings.SESSION_COOKIE_NAME] = session
    store("cache").write(request, HttpResponse(), "text")
    assert store("cache").read(request) == "text"


def test_no_session_key_stands_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(caches["default"], "set_many", lambda data, timeout: seen.extend(data))
    store("cache").write(get(session="secret"), HttpResponse(), "text")
    assert len(seen) == 1
    assert "secret" not in seen[0]
    assert len(seen[0]) < 100


def test_a_token_ends_with_its_max_age(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(caches["default"], "set_many", lambda data, timeout: seen.append(timeout))
    store("cache", max_age=30).write(get(session="abc"), HttpResponse(), "text")
    assert seen == [30]


@pytest.mark.parametrize(("first", "second"), [(100, 200), (200, 100)])
def test_of_two_requests_of_one_session_at_the_same_time_the_larger_position_stays(first: int, second: int) -> None:
    for number in (first, second):
        store("cache").write(get(session="abc"), HttpResponse(), text(number))
    assert position(store("cache").read(get(session="abc"))) == 200


@pytest.mark.parametrize("forged", ["forged", 5, None, b"x", "x" * 8192])
def test_what_is_not_signed_is_not_joined(forged: Any) -> None:
    store("cache").write(get(session="abc"), HttpResponse(), "placeholder")
    (key,) = cache._cache  # type: ignore[attr-defined]
    cache.set(key.split(":", 2)[2], forged)
    store("cache").write(get(session="abc"), HttpResponse(), text(100))
    assert position(store("cache").read(get(session="abc"))) == 100


def test_a_token_is_kept_after_a_body_was_streamed() -> None:
    request, response = get(session="abc"), StreamingHttpResponse(iter(["a", "b"]))
    list(response)
    store("cache").write(request, response, "text")
    assert store("cache").read(get(session="abc")) == "text"


class Broken:
    """A cache whose server is away."""

    def __getattr__(self, name: str) -> Any:
        raise ConnectionError("refused")


def test_a_cache_that_fails_costs_the_token_and_no_page_and_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store("cache")
    with caplog.at_level(logging.INFO, "django_gmf_router"):
        with monkeypatch.context() as broken:
            broken.setattr(stores, "caches", {"default": Broken()})
            for _ in range(3):
                assert kept.read(get(session="abc")) is None
                kept.write(get(session="abc"), HttpResponse(), "text")
        kept.write(get(session="abc"), HttpResponse(), "text")
        assert kept.read(get(session="abc")) == "text"
    events = [record.event for record in caplog.records]  # type: ignore[attr-defined]
    assert events == ["consistency_store_down", "consistency_store_up"]
    assert "clients may not see their own writes: " in caplog.messages[0]
    assert "works again" in caplog.messages[1]


@override_settings(
    SESSION_COOKIE_DOMAIN=".example.test",
    SESSION_COOKIE_PATH="/gis/",
    SESSION_COOKIE_SAMESITE="None",
    SESSION_COOKIE_SECURE=True,
)
def test_the_cookie_goes_where_the_sessions_goes() -> None:
    response = HttpResponse()
    store("cookie").write(get(), response, "text")
    cookie = response.cookies["gmf_token"]
    assert [cookie[name] for name in ("domain", "path", "samesite", "secure")] == [
        ".example.test",
        "/gis/",
        "None",
        True,
    ]


def test_the_cookie_goes_where_its_own_settings_say() -> None:
    response = HttpResponse()
    named = {"cookie_domain": "maps.test", "cookie_path": "/maps/", "cookie_samesite": "Strict"}
    store("cookie", **named).write(get(), response, "text")
    cookie = response.cookies["gmf_token"]
    assert [cookie[name] for name in ("domain", "path", "samesite")] == ["maps.test", "/maps/", "Strict"]
