"""What is asked about deliveries, totals and lanes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition
from conversion_relay.service.store import records
from conversion_relay.service.store.port import DeliveryRecord, Disposition, LaneRecord, Totals
from conversion_relay.service.store.postgres import ledger
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import (
    given,
    optionally_given,
    optionally_kept,
)
from conversion_relay.service.store.records import DeliveryRow
from conversion_relay.service.store.rows import optional_microseconds
from conversion_relay.service.store.times import nearest_moment

if TYPE_CHECKING:
    import asyncpg

    _Rows: TypeAlias = Sequence[asyncpg.Record]
else:
    _Rows = object


class Records:
    """Answers what is asked about deliveries, totals and lanes."""

    def __init__(self, database: Database) -> None:
        self._connections = database.hot

    async def totals(self) -> Totals:
        """Counts over all that is kept."""
        rows = await self._connections.run(partial(_rows, query="totals"))
        return Totals(
            {Disposition(what): count for where, what, count in rows if where is None},
            {(where, State(what)): count for where, what, count in rows if where is not None},
        )

    async def deliveries(self, message_ids: Sequence[str]) -> tuple[DeliveryRecord, ...]:
        """The deliveries of these events, in the order in which they were kept."""

        async def work(connection: Connection) -> _Rows:
            events = await ledger.events_of(connection, message_ids)
            return await connection.fetch(QUERIES["deliveries_of"], events)

        rows = await self._connections.run(work)
        return tuple(delivery_record(DeliveryRow(*row)) for row in rows)

    async def keep_lane(self, lane: LaneRecord) -> None:
        """Remember how the destination's lane is."""

        async def work(connection: Connection) -> None:
            await connection.execute(
                QUERIES["keep_lane"],
                lane.destination,
                lane.credential,
                lane.condition.value,
                optional_microseconds(lane.since),
                optionally_kept(lane.reason),
            )

        await self._connections.run(work)

    async def lanes(self) -> tuple[LaneRecord, ...]:
        """How the lanes were when they were kept last."""
        rows = await self._connections.run(partial(_rows, query="lanes"))
        return tuple(
            LaneRecord(
                destination,
                credential,
                Condition(condition),
                None if since is None else nearest_moment(since),
                optionally_given(reason),
            )
            for destination, credential, condition, since, reason in rows
        )


def delivery_record(row: DeliveryRow) -> DeliveryRecord:
    """A row as the port gives it; its texts are as they are kept."""
    return records.delivery_record(
        row._replace(
            message_id=given(row.message_id),
            mapping=given(row.mapping),
            event_name=given(row.event_name),
            reason=optionally_given(row.reason),
        )
    )


async def _rows(connection: Connection, query: str) -> _Rows:
    return await connection.fetch(QUERIES[query])
