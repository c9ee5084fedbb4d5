"""Traces: the spans of an event's way, what they say, and that they are off by default."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext
from typing_extensions import override

from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox import create_sandbox, running
from conversion_relay.service.app import Outside, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.telemetry import OpenTelemetryTraces
from conversion_relay.service.tracing import NO_TRACES, Tracer, traces
from support.events import order
from support.lines import Lines
from support.running import BEARER, environment

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ASKED_IN = 0x0AF7651916CD43DD8448EB211C80319C
ASKED_BY = 0xB7AD6B7169203331


@pytest.fixture
def kept() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(kept: InMemorySpanExporter) -> Iterator[OpenTelemetryTraces]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    yield OpenTelemetryTraces(provider.get_tracer("test"))
    provider.shutdown()


def by_name(kept: InMemorySpanExporter) -> Mapping[str, ReadableSpan]:
    return {span.name: span for span in kept.get_finished_spans()}


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    context: SpanContext | None = span.get_span_context()
    assert context is not None
    found: int = context.span_id
    return found


def trace_of(span: ReadableSpan) -> int:
    context: SpanContext | None = span.get_span_context()
    assert context is not None
    found: int = context.trace_id
    return found


def test_nothing_is_followed_by_default() -> None:
    with traces(wanted=False) as found, found.span("plan", events=1) as span:
        span.note(duplicates=0)
    assert found is NO_TRACES


def test_without_the_extra_the_message_says_what_to_do() -> None:
    def load_nothing(name: str) -> ModuleType:
        raise ModuleNotFoundError(name)

    with pytest.raises(ConfigurationError, match=r"RELAY_TRACING.*conversion-relay\[otel\]"):
        traces(wanted=True, load=load_nothing)


def test_with_the_extra_they_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")  # nobody listens here
    with traces(wanted=True) as found, found.span("plan"):
        assert isinstance(found, OpenTelemetryTraces)


async def test_a_span_inside_another_belongs_to_it_in_its_tasks_too(
    tracer: OpenTelemetryTraces, kept: InMemorySpanExporter
) -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        with tracer.span("send", destination="toy"):
            pass

    with tracer.span("claim") as span:
        span.note(deliveries=2)
        task = asyncio.create_task(later())
    await task
    found = by_name(kept)
    assert parent_of(found["send"]) == id_of(found["claim"])
    assert dict(found["claim"].attributes or {}) == {"relay.deliveries": 2}
    assert dict(found["send"].attributes or {}) == {"relay.destination": "toy"}


@pytest.mark.parametrize(
    ("header", "trace"),
    [(TRACEPARENT.encode(), ASKED_IN), (b"nonsense", None), (b"\xff", None), (None, None)],
)
def test_a_request_may_say_in_which_trace_it_is(
    tracer: OpenTelemetryTraces,
    kept: InMemorySpanExporter,
    header: bytes | None,
    trace: int | None,
) -> None:
    with tracer.span("receive", header, way="webhook"):
        pass
    (span,) = kept.get_finished_spans()
    assert (trace_of(span) == ASKED_IN) is (trace is not None)
    assert parent_of(span) == (None if trace is None else ASKED_BY)


def test_of_an_exception_only_the_kind_is_said(
    tracer: OpenTelemetryTraces, kept: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="lena"), tracer.span("plan"):
        int("lena@example.com")
    (span,) = kept.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "lena" not in span.to_json()


def keeping(tracer: Tracer) -> Outside:
    """A world whose traces go there, if they are wanted."""

    def open_traces(*, wanted: bool) -> AbstractContextManager[Tracer]:
        return nullcontext(tracer if wanted else NO_TRACES)

    return Outside(traces=open_traces)


@pytest.fixture
async def client(
    tracer: OpenTelemetryTraces, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[httpx.AsyncClient]:
    sandbox = create_sandbox(clock=lambda: 0.0, access_tokens=frozenset({"access-token"}))
    async with running(sandbox) as api_url:
        configuration = load(environment(tmp_path, api_url, RELAY_TRACING=request.param))
        async with (
            open_relay(configuration, Lines(), keeping(tracer)) as relay,
            relay.delivering(),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=relay.http), base_url="http://relay"
            ) as client,
        ):
            client.headers["Authorization"] = f"Bearer {BEARER}"
            yield client


@pytest.mark.parametrize("client", ["true"], indirect=True)
async def test_an_event_s_way_is_two_traces(
    client: httpx.AsyncClient, kept: InMemorySpanExporter
) -> None:
    headers = {"traceparent": TRACEPARENT}
    answer = await client.post("/webhook/default", json=order("m-secret"), headers=headers)
    assert answer.status_code == 200
    async with asyncio.timeout(20):
        while "settle" not in by_name(kept):  # noqa: ASYNC110 - the worker is beside us
            await asyncio.sleep(0.01)
    found = by_name(kept)
    assert set(found) == {"receive", "plan", "append", "claim", "send", "settle"}
    for inner, outer in (
        *(("plan", "receive"), ("append", "receive")),
        *(("send", "claim"), ("settle", "claim")),
    ):
        assert parent_of(found[inner]) == id_of(found[outer]), inner
    assert trace_of(found["append"]) == ASKED_IN
    assert parent_of(found["claim"]) is None
    said = {name: dict(span.attributes or {}) for name, span in found.items()}
    assert said == {
        "receive": {"relay.way": "webhook"},
        "plan": {"relay.source": "default", "relay.events": 1},
        "append": {"relay.source": "default", "relay.events": 1, "relay.duplicates": 0},
        "claim": {"relay.destination": "tiktok", "relay.deliveries": 1},
        "send": {"relay.destination": "tiktok", "relay.events": 1},
        "settle": {"relay.destination": "tiktok", "relay.deliveries": 1},
    }


@pytest.mark.parametrize("client", ["false"], indirect=True)
async def test_off_nothing_is_traced(
    client: httpx.AsyncClient, kept: InMemorySpanExporter
) -> None:
    answer = await client.post("/webhook/default", json=order("m-1"))
    assert answer.status_code == 200
    assert kept.get_finished_spans() == ()


class _Collector(BaseHTTPRequestHandler):
    """Takes whatever is posted."""

    taken: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        """Answers 200."""
        length = int(self.headers["Content-Length"])
        self.taken.append((self.path, self.rfile.read(length)))
        self.send_response(HTTPStatus.OK)
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_a_collector_gets_them_at_the_latest_when_the_service_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        with traces(wanted=True) as found, found.span("claim", destination="tiktok"):
            pass
        server.shutdown()
    ((path, body),) = _Collector.taken
    assert path == "/v1/traces"
    for words in (b"conversion-relay", b"claim", b"relay.destination", b"tiktok"):
        assert words in body
