"""What happened by the minute, and what waits now. Knows no thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import apsw
import orjson

from conversion_relay.core.delivery import State
from conversion_relay.service.store.history import FlowCount, Waiting
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.records import optional_moment

_MINUTE: Final = timedelta(minutes=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOW_MINUTES: Final = 360
"""Summed at once: some ten thousand rows."""


def add_flow(connection: apsw.Connection, counts: Sequence[FlowCount]) -> None:
    """Add these counts to those of their minutes, inside a transaction."""
    rows = [
        [(one.minute - _EPOCH) // _MINUTE, one.measure, _list(one.labels), one.count]
        for one in counts
    ]
    connection.execute(QUERIES["add_flow"], {"counts": orjson.dumps(rows).decode()})


class Flow:
    """Adds up the counts of that time, some hours at a time."""

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._since = first_minute(since)
        self._until = first_minute(until)
        self._step = max(1, step // _MINUTE)
        self._next = 0  # step
        self._counts: list[FlowCount] = []

    def add(self, connection: apsw.Connection) -> bool:
        """The next hours; whether there is nothing more."""
        first = self._since + self._next * self._step
        self._next += max(1, _WINDOW_MINUTES // self._step)
        until = min(self._until, self._since + self._next * self._step)
        asked = {"since": first, "until": until, "step": self._step}
        found: str = connection.execute(QUERIES["flow"], asked).get
        for step, measure, labels, count in orjson.loads(found):
            begin = _EPOCH + (first + step * self._step) * _MINUTE
            self._counts.append(FlowCount(begin, measure, tuple(orjson.loads(labels)), count))
        return until >= self._until

    def result(self) -> tuple[FlowCount, ...]:
        """Oldest first."""
        return tuple(self._counts)


def waiting(connection: apsw.Connection) -> tuple[Waiting, ...]:
    """What has not arrived yet, by destination and state."""
    found: str = connection.execute(QUERIES["waiting"]).get
    return tuple(
        Waiting(destination, State(state), count, optional_moment(oldest))
        for destination, state, count, oldest in orjson.loads(found)
    )


def first_minute(moment: datetime) -> int:
    """The first that begins at this moment or later."""
    return -((_EPOCH - moment) // _MINUTE)


def _list(labels: Sequence[str]) -> str:
    return orjson.dumps(list(labels)).decode()
