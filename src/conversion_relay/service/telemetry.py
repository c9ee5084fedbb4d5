"""Sends traces with OpenTelemetry. Needs the extra `otel`, so only `tracing` asks for this module.

Where to and how many is said by OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_ENDPOINT,
OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from conversion_relay import __version__
from conversion_relay.service.tracing import Attribute, Span, Tracer

_NAME: Final = "conversion-relay"
_PREFIX: Final = "relay."
_EXPORT_SECONDS: Final = 2.0
"""Also of the last export, when the service stops: it has other things to end in time."""
_W3C: Final = TraceContextTextMapPropagator()


@contextmanager
def exporting() -> Iterator[Tracer]:
    """Traces that are sent from a thread of their own; the last of them on leaving."""
    known = {SERVICE_NAME: _NAME, SERVICE_VERSION: __version__}
    resource = Resource(known).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield OpenTelemetryTraces(provider.get_tracer(_NAME, __version__))
    finally:
        provider.shutdown()


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A span that is recorded."""

    span: trace.Span

    def note(self, **attributes: Attribute) -> None:
        """What is known of it only now."""
        self.span.set_attributes(_named(attributes))


@dataclass(frozen=True, slots=True)
class OpenTelemetryTraces:
    """Follows pieces of work with OpenTelemetry.

    Attributes:
        tracer: of this service.
    """

    tracer: trace.Tracer

    @contextmanager
    def span(
        self, name: str, traceparent: bytes | None = None, **attributes: Attribute
    ) -> Iterator[Span]:
        """A span; an exception is noted by its kind alone, because its words may hold values."""
        with self.tracer.start_as_current_span(
            name,
            context=_asked_from(traceparent),
            attributes=_named(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield _Recorded(span)
            except BaseException as error:
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                raise


def _named(attributes: dict[str, Attribute]) -> dict[str, Attribute]:
    return {f"{_PREFIX}{name}": value for name, value in attributes.items()}


def _asked_from(traceparent: bytes | None) -> Context | None:
    """Where the asking request is in a trace; None: in the one that is under way here."""
    if traceparent is None:
        return None
    return _W3C.extract({"traceparent": traceparent.decode("latin-1")})
