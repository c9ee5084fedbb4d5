"""Traces of what happens to events, as a narrow port; off unless the settings ask for them.

What sends them is `telemetry`, whose libraries are an optional extra. Names and attributes are
this service's words, ids and counts, never a value of an event.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Final, Protocol, TypeAlias

from typing_extensions import override

from conversion_relay.errors import ConfigurationError

Attribute: TypeAlias = str | int | float | bool
_TELEMETRY: Final = "conversion_relay.service.telemetry"
_MISSING: Final = (
    "service.tracing (RELAY_TRACING) is on, but OpenTelemetry is not installed: install "
    "conversion-relay[otel], or switch tracing off"
)


class Span(Protocol):
    """A piece of work under way."""

    def note(self, **attributes: Attribute) -> None:
        """What is known of it only now."""
        ...


class Tracer(Protocol):
    """Follows pieces of work. One that begins inside another belongs to it, in its tasks too."""

    def span(
        self, name: str, traceparent: bytes | None = None, **attributes: Attribute
    ) -> AbstractContextManager[Span]:
        """A piece of work, from entering to leaving.

        Args:
            name: receive, plan, append, claim, send or settle.
            traceparent: W3C's header of the request that asked for it, in whose trace it then is.
            attributes: ids and counts.
        """
        ...


class _Untraced(Span, AbstractContextManager[Span]):
    """One for all: it is entered on the way of every event."""

    @override
    def note(self, **attributes: Attribute) -> None:
        pass

    @override
    def __enter__(self) -> Span:
        return self

    @override
    def __exit__(self, *_: object) -> None:
        pass


_UNTRACED: Final = _Untraced()


class NoTraces:
    """Follows nothing."""

    def span(
        self, name: str, traceparent: bytes | None = None, **attributes: Attribute
    ) -> AbstractContextManager[Span]:
        """The same nothing each time."""
        del name, traceparent, attributes
        return _UNTRACED


NO_TRACES: Final = NoTraces()


class OpenTraces(Protocol):
    """Opens what follows the work."""

    def __call__(self, *, wanted: bool) -> AbstractContextManager[Tracer]:
        """From entering to leaving."""
        ...


def traces(
    *, wanted: bool, load: Callable[[str], ModuleType] = import_module
) -> AbstractContextManager[Tracer]:
    """What follows the work from entering to leaving; nothing where that is not wanted.

    Raises:
        ConfigurationError: it is wanted, and its libraries are not installed.
    """
    if not wanted:
        return nullcontext(NO_TRACES)
    try:
        telemetry = load(_TELEMETRY)
    except ImportError as error:
        raise ConfigurationError(_MISSING) from error
    opened: AbstractContextManager[Tracer] = telemetry.exporting()
    return opened
