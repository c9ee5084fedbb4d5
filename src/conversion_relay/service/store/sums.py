"""What is told of the past, added up from pages of rows. Pure; knows no database.

A page is short, so that nobody waits for it; what pages have in common is put together here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from conversion_relay.core.delivery import State
from conversion_relay.service.store.history import AnswerCount, Moment, OutcomeCount

MICROSECOND: Final = timedelta(microseconds=1)
_MICROSECONDS: Final = 1_000_000


class AnswerRow(NamedTuple):
    """Requests of one page that ended alike; `step` counts from the beginning of the time."""

    step: int
    destination: str
    result: str
    status: int | None
    code: int | None
    requests: int
    events: int


class OutcomeRow(NamedTuple):
    """Deliveries of one page with much in common; `late` is the number of a bound.

    Attributes:
        longest: microseconds.
    """

    source: str
    destination: str
    mapping: str
    event_name: str
    state: str
    late: int | None
    currency: str | None
    deliveries: int
    value_micros: int
    unvalued: int
    longest: int


class MomentRow(NamedTuple):
    """What was received and what arrived in one step, of one page."""

    step: int
    received: int
    delivered: int


class _AnswerKey(NamedTuple):
    step: int
    destination: str
    result: str
    status: int | None
    code: int | None


class _Kind(NamedTuple):
    source: str
    destination: str
    mapping: str
    event_name: str
    state: str
    late: int | None
    currency: str | None


class AnswerSum:
    """What came back, by step."""

    def __init__(self, since: datetime, step: timedelta) -> None:
        self._since = since
        self._step = step
        self._requests: Counter[_AnswerKey] = Counter()
        self._events: Counter[_AnswerKey] = Counter()

    def add(self, rows: Iterable[AnswerRow]) -> None:
        """Another page."""
        for row in rows:
            key = _AnswerKey(*row[:5])
            self._requests[key] += row.requests
            self._events[key] += row.events

    def result(self) -> tuple[AnswerCount, ...]:
        """Oldest first."""
        counts = [
            AnswerCount(self._since + key.step * self._step, *key[1:], count, self._events[key])
            for key, count in self._requests.items()
        ]
        return tuple(sorted(counts, key=_answers_in_order))


class OutcomeSum:
    """What became of deliveries, by all they have in common."""

    def __init__(self, bounds: Sequence[timedelta]) -> None:
        self._bounds = sorted(bounds)
        self._counts: Counter[_Kind] = Counter()
        self._values: Counter[_Kind] = Counter()
        self._unvalued: Counter[_Kind] = Counter()
        self._longest: dict[_Kind, int] = {}

    @property
    def bounds(self) -> list[int]:
        """In microseconds, ascending; rows name them by their number."""
        return [bound // MICROSECOND for bound in self._bounds]

    def add(self, rows: Iterable[OutcomeRow]) -> None:
        """Another page."""
        for row in rows:
            kind = _Kind(*row[:7])
            self._counts[kind] += row.deliveries
            self._values[kind] += row.value_micros
            self._unvalued[kind] += row.unvalued
            self._longest[kind] = max(row.longest, self._longest.get(kind, 0))

    def result(self) -> tuple[OutcomeCount, ...]:
        """In the order of what they have in common."""
        return tuple(self._count(kind) for kind in sorted(self._counts, key=_kinds_in_order))

    def _count(self, kind: _Kind) -> OutcomeCount:
        return OutcomeCount(
            source=kind.source,
            destination=kind.destination,
            mapping=kind.mapping,
            event_name=kind.event_name,
            state=State(kind.state),
            late=None if kind.late is None else self._bounds[kind.late],
            currency=kind.currency,
            count=self._counts[kind],
            value_micros=self._values[kind],
            unvalued=self._unvalued[kind],
            longest_seconds=self._longest[kind] / _MICROSECONDS,
        )


class MomentSum:
    """What was received and what arrived, by step."""

    def __init__(self, since: datetime, step: timedelta) -> None:
        self._since = since
        self._step = step
        self._received: Counter[int] = Counter()
        self._delivered: Counter[int] = Counter()

    def add(self, rows: Iterable[MomentRow]) -> None:
        """Another page."""
        for row in rows:
            self._received[row.step] += row.received
            self._delivered[row.step] += row.delivered

    def result(self) -> tuple[Moment, ...]:
        """Oldest first."""
        return tuple(
            Moment(self._since + step * self._step, count, self._delivered[step])
            for step, count in sorted(self._received.items())
        )


def _answers_in_order(count: AnswerCount) -> tuple[datetime, str, str, int, int]:
    return count.begin, count.destination, count.result, count.status or 0, count.code or 0


def _kinds_in_order(kind: _Kind) -> tuple[str, ...]:
    late = "" if kind.late is None else f"{kind.late:03}"
    return (*kind[:5], late, kind.currency or "")
