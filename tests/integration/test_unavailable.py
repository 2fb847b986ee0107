"""What do clients get while no primary answers?"""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from django_gmf_router.exceptions import PrimaryUnavailable
from tests import urls

pytestmark = pytest.mark.django_db


def needs_the_primary(request: HttpRequest) -> HttpResponse:
    raise PrimaryUnavailable("default")


def own_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the site's own page", status=503)


def touches_its_session(request: HttpRequest) -> HttpResponse:
    request.session["seen"] = True
    return HttpResponse("served")


class WithHandler:
    """A URLconf that has its own page."""

    urlpatterns = [path("needs", needs_the_primary)]
    handler503 = own_page


urlpatterns = [*urls.urlpatterns, path("needs", needs_the_primary), path("touch", touches_its_session)]


@pytest.fixture(autouse=True)
def _these_urls() -> Any:
    with override_settings(ROOT_URLCONF=__name__):
        yield


@pytest.mark.parametrize(
    ("accept", "content_type", "text"),
    [
        ("text/html", "text/html; charset=utf-8", "Read only for a moment"),
        ("*/*", "text/html; charset=utf-8", "Read only for a moment"),
        ("application/json", "application/json", "nothing can be written now"),
        ("image/png", "application/json", "nothing can be written now"),
    ],
)
def test_a_view_that_needs_the_primary_answers_503(client: Client, accept: str, content_type: str, text: str) -> None:
    response = client.post("/needs", headers={"accept": accept})
    assert (response.status_code, response["Retry-After"]) == (503, "2")
    assert response["Content-Type"] == content_type
    assert text in response.content.decode()


def test_the_page_can_be_the_sites_own(client: Client) -> None:
    with override_settings(ROOT_URLCONF=WithHandler):
        response = client.post("/needs")
    assert (response.content, response["Retry-After"]) == (b"the site's own page", "2")


class AwayStore(SessionStore):
    """Sessions in a database whose primary is away for writes."""

    def save(self, must_create: bool = False) -> None:
        raise PrimaryUnavailable("default")


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client that is logged in, before the primary went."""
    User.objects.create_superuser("ada", password="lovelace")
    client = Client(raise_request_exception=False)
    client.login(username="ada", password="lovelace")
    monkeypatch.setattr(SessionStore, "save", AwayStore.save)
    return client


def test_a_get_whose_session_cannot_be_saved_is_served_and_says_so_in_the_log(
    away: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "django_gmf_router"):
        response = away.get("/touch")
    assert (response.status_code, response.content) == (200, b"served")
    assert [getattr(record, "event", None) for record in caplog.records] == ["session_not_saved"]


def test_a_post_whose_session_cannot_be_saved_answers_503(away: Client) -> None:
    response = away.post("/touch")
    assert (response.status_code, response["Retry-After"]) == (503, "2")


def test_other_errors_stay_what_they_are(client: Client) -> None:
    response = Client(raise_request_exception=False).post("/save?fail")
    assert response.status_code == 500
