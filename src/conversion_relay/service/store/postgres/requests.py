"""Requests to destinations and what came back, as they are told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from conversion_relay.service.store.history import AnswerCount, RequestRecord
from conversion_relay.service.store.past_rows import RequestRow, request_record
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import optionally_given
from conversion_relay.service.store.sums import MICROSECOND, AnswerRow, AnswerSum
from conversion_relay.service.store.times import to_microseconds

if TYPE_CHECKING:
    import asyncpg

_PAGE: Final = 20_000


async def attempts(connection: Connection, delivery: int) -> tuple[RequestRecord, ...]:
    """The requests in which this delivery travelled, oldest first."""
    return _records(await connection.fetch(QUERIES["attempts"], delivery))


async def newest(
    connection: Connection, since: datetime, until: datetime, limit: int
) -> tuple[RequestRecord, ...]:
    """The newest requests of that time, newest first."""
    bounds = to_microseconds(since), to_microseconds(until)
    return _records(await connection.fetch(QUERIES["newest_requests"], *bounds, limit))


class Answers:
    """Adds up what came back in that time, a page of requests at a time."""

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._sum = AnswerSum(since, step)
        self._bounds = to_microseconds(since), to_microseconds(until), step // MICROSECOND
        self._after = (to_microseconds(since), -1)

    async def add(self, connection: Connection) -> bool:
        """The next page; whether there is nothing more."""
        rows = await connection.fetch(QUERIES["answers"], *self._bounds, *self._after, _PAGE)
        for at, number, *values in rows:
            self._after = (at, number)
            self._sum.add([AnswerRow(*values)])
        return not rows

    def result(self) -> tuple[AnswerCount, ...]:
        """Oldest first."""
        return self._sum.result()


def _records(rows: Iterable[asyncpg.Record]) -> tuple[RequestRecord, ...]:
    found = (RequestRow(*row) for row in rows)
    return tuple(
        request_record(
            row._replace(
                request_id=optionally_given(row.request_id), reason=optionally_given(row.reason)
            )
        )
        for row in found
    )
