"""What happened by the minute, and what waits now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

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
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.records import optional_moment


async def add_flow(connection: Connection, counts: Sequence[FlowCount]) -> None:
    """Add these counts to those of their minutes."""
    columns = zip(*(flow_row(one) for one in counts), strict=True)
    await connection.execute(QUERIES["add_flow"], *map(list, columns))


class Flow:
    """Adds up the counts of that time, some hours at a time."""

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._since = first_minute(since)
        self._until = first_minute(until)
        self._step = flow_step(step)
        self._next = 0  # step
        self._counts: list[FlowCount] = []

    async def add(self, connection: Connection) -> bool:
        """The next hours; whether there is nothing more."""
        first = self._since + self._next * self._step
        self._next += max(1, FLOW_WINDOW_MINUTES // self._step)
        until = min(self._until, self._since + self._next * self._step)
        rows = await connection.fetch(QUERIES["flow"], first, until, self._step)
        for step, *rest in rows:
            self._counts.append(flow_count(FlowRow(first + step * self._step, *rest)))
        return until >= self._until

    def result(self) -> tuple[FlowCount, ...]:
        """Oldest first."""
        return tuple(self._counts)


async def waiting(connection: Connection) -> tuple[Waiting, ...]:
    """What has not arrived yet, by destination and state."""
    return tuple(
        Waiting(destination, State(state), count, optional_moment(oldest))
        for destination, state, count, oldest in await connection.fetch(QUERIES["waiting"])
    )
