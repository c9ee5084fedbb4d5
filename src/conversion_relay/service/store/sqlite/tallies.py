"""What happened by the minute, and what waits now. Knows no thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import apsw
import orjson

from conversion_relay.core.delivery import State
from conversion_relay.service.store.history import FlowCount, Waiting
from conversion_relay.service.store.past_rows import (
    FLOW_WINDOW_MINUTES,
    FlowRow,
    first_minute,
    flow_count,
    flow_row,
    flow_step,
)
from conversion_relay.service.store.records import optional_moment
from conversion_relay.service.store.sqlite.queries import QUERIES


def add_flow(connection: apsw.Connection, counts: Sequence[FlowCount]) -> None:
    """Add these counts to those of their minutes, inside a transaction."""
    rows = [list(flow_row(one)) for one in counts]
    connection.execute(QUERIES["add_flow"], {"counts": orjson.dumps(rows).decode()})


class Flow:
    """Adds up the counts of that time, some hours at a time."""

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._since = first_minute(since)
        self._until = first_minute(until)
        self._step = flow_step(step)
        self._next = 0  # step
        self._counts: list[FlowCount] = []

    def add(self, connection: apsw.Connection) -> bool:
        """The next hours; whether there is nothing more."""
        first = self._since + self._next * self._step
        self._next += max(1, FLOW_WINDOW_MINUTES // self._step)
        until = min(self._until, self._since + self._next * self._step)
        asked = {"since": first, "until": until, "step": self._step}
        found: str = connection.execute(QUERIES["flow"], asked).get
        for step, measure, labels, count in orjson.loads(found):
            row = FlowRow(first + step * self._step, measure, labels, count)
            self._counts.append(flow_count(row))
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
