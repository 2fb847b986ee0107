"""Do the jobs of the page read as their levels say, installed as the page says, where they run at once?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import celery
import django
import pytest
from celery import _state
from django.core import mail
from django.db import OperationalError, connection, models
from django.test import RequestFactory, override_settings
from django.test.utils import isolate_apps

from django_gmf_router import current_decision
from django_gmf_router.contrib import celery as contrib
from tests.books.models import Book
from tests.conftest import OpenUnit
from tests.unit.docs.running import run_example

PAGE = "docs/how-to/jobs.md"
pytestmark = [pytest.mark.usefixtures("unmirrored"), pytest.mark.django_db(databases="__all__", transaction=True)]


def reason() -> str:
    """Read, and return why there."""
    Book.objects.exists()
    return str(current_decision()).partition("reason=")[2]


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The models of the page's shop, with their tables."""
    with isolate_apps("tests.books"):

        class Customer(models.Model):
            email = models.EmailField()

            class Meta:
                app_label = "library"

        class Order(models.Model):
            customer = models.ForeignKey(Customer, on_delete=models.CASCADE)

            class Meta:
                app_label = "library"

            def text(self) -> str:
                """Say where it was read from."""
                return reason()

            def charge(self) -> None:
                """Note where it was read from."""
                read.append(reason())

    read: list[str] = []
    with connection.schema_editor() as editor:
        editor.create_model(Customer)
        editor.create_model(Order)
    module = ModuleType("shop.models")
    module.Order = Order  # type: ignore[attr-defined]
    for name, each in (("shop", ModuleType("shop")), ("shop.models", module)):
        monkeypatch.setitem(sys.modules, name, each)
    yield SimpleNamespace(customer=Customer.objects.create(email="ada@example.org"), Order=Order, read=read)
    with connection.schema_editor() as editor:
        editor.delete_model(Order)
        editor.delete_model(Customer)


@pytest.fixture
def app() -> Iterator[Any]:
    """The application as the page makes it, with a broker in memory, whose tasks run where they are called."""
    before, finalizers = getattr(_state._tls, "current_app", None), {*_state._on_app_finalizers}
    with override_settings(CELERY_BROKER_URL="memory://", CELERY_TASK_ALWAYS_EAGER=True):
        made = run_example(PAGE, 'app = Celery("shop")')["app"]
        yield made
    del contrib._DEFAULTS[made]
    made.close()
    # What @shared_task has noted would be a task of each application that is made after this one.
    _state._on_app_finalizers = finalizers
    _state._set_current_app(before)


def tasks(app: celery.Celery, shop: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("shop.tasks")
    vars(module).update(run_example(PAGE, "def monthly_report", dots="return reason()", reason=reason))
    monkeypatch.setitem(sys.modules, "shop.tasks", module)
    return module


def test_the_tasks_of_the_page_read_as_their_levels_say(
    app: Any, shop: Any, monkeypatch: pytest.MonkeyPatch, open_request: OpenUnit
) -> None:
    module: Any = tasks(app, shop, monkeypatch)
    order = shop.Order.objects.create(customer=shop.customer)
    with open_request("GET", "/"):
        module.confirm.delay(order.pk).get()
        assert [(sent.body, sent.to) for sent in mail.outbox] == [("unit_of_work", ["ada@example.org"])]
        module.charge.delay(order.pk).get()
        assert shop.read == ["use_primary"]
        assert module.monthly_report.delay().get() == "unit_of_work"


def test_a_task_that_says_nothing_has_the_default_of_the_page(app: Any, open_request: OpenUnit) -> None:
    by_default = app.task(name="by_default")(reason)
    with open_request("GET", "/"):
        assert by_default.delay().get() == "unit_of_work"
        Book.objects.create(title="Atlas")
        assert by_default.delay().get() == "consistency"


def test_a_view_that_sends_a_task_on_commit_lets_it_see_the_order(
    app: Any, shop: Any, monkeypatch: pytest.MonkeyPatch, open_request: OpenUnit
) -> None:
    tasks(app, shop, monkeypatch)
    place = run_example(PAGE, "confirm.delay_on_commit")["place"]
    request: Any = RequestFactory().post("/")
    request.user = SimpleNamespace(customer=shop.customer)
    with open_request("POST", "/"):
        assert place(request).status_code == 201
    assert shop.Order.objects.count() == 1
    assert [sent.body for sent in mail.outbox] == ["consistency"]


def test_a_task_of_an_outage_is_tried_again(app: Any, open_request: OpenUnit) -> None:
    answers: list[Any] = [OperationalError("gone"), "published"]

    def answer() -> Any:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    publish = run_example(PAGE, "def publish(pk)", dots="return answer()", answer=answer)["publish"]
    with open_request("GET", "/"):
        assert publish.delay(1).get() == "published"
    assert answers == []


# Nothing is missing: what is tested is not part of this Django. In CI tox runs it with 6.1.
@pytest.mark.skipif(django.VERSION < (6, 0), reason="django.tasks came with Django 6.0")
def test_the_tasks_of_django_have_the_level_of_the_page_and_its_default(open_request: OpenUnit) -> None:
    from django.tasks import task
    from django.tasks.signals import task_finished, task_started

    config = run_example(PAGE, "class OfficeConfig")["OfficeConfig"]
    config("office", sys.modules[__name__]).ready()
    recount = run_example(PAGE, "def recount", dots="return None")["recount"]
    try:
        assert recount.func.gmf_consistency == "delayed"
        with open_request("GET", "/"):
            assert recount.enqueue(7).status == "SUCCESSFUL"
            assert task(reason).enqueue().return_value == "consistency"
    finally:
        for signal in (task_started, task_finished):
            signal.disconnect(dispatch_uid="gmf_router")
