"""What does a span of OpenTelemetry say of the reads of its request?"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import pytest
from django.test import Client, override_settings

from django_gmf_router import unit_of_work
from django_gmf_router.routing.unit_of_work import open_unit
from tests.books.models import Author

if not (find_spec("opentelemetry") or os.environ.get("CI")):
    # A developer without it still runs the other tests; in CI its import fails.
    pytest.skip("It needs opentelemetry-sdk, which stands in requirements/dev.txt.", allow_module_level=True)

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

pytestmark = pytest.mark.django_db


class Spans:
    """A tracer, and what it exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.begin = provider.get_tracer(__name__).start_as_current_span

    def said(self) -> dict[str, Any]:
        (span,) = self._exporter.get_finished_spans()
        return dict(span.attributes or {})


@pytest.mark.django_db(transaction=True)
def test_the_span_of_a_request_says_where_its_last_read_went_and_why(client: Client) -> None:
    spans = Spans()
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"]}}), spans.begin("GET"):
        client.get("/write")
    assert spans.said() == {
        "gmf_router.moves": 0,
        "gmf_router.role": "primary",
        "gmf_router.alias": "default",
        "gmf_router.reason": "wrote",
    }


def test_the_span_of_a_job_says_how_often_its_reads_moved() -> None:
    spans = Spans()
    with override_settings(GMF_ROUTER={"default": {"REPLICAS": ["replica_1"]}}), spans.begin("job"), unit_of_work():
        unit = open_unit()
        assert unit is not None
        unit.moves = 2
        Author.objects.exists()
    assert spans.said() == {
        "gmf_router.moves": 2,
        "gmf_router.role": "replica",
        "gmf_router.alias": "replica_1",
        "gmf_router.reason": "unit_of_work",
    }


def test_a_body_that_is_made_after_its_span_has_ended_warns_of_nothing(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    spans = Spans()
    with spans.begin("GET", end_on_exit=False) as span:
        response = client.get("/stream")
        # As where a server has the request's context on while it sends the body.
        span.end()
        list(response)  # type: ignore[call-overload]
    assert spans.said() == {}
    assert not caplog.records
