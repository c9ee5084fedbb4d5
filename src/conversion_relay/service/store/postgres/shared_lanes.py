"""Lanes as all nodes see them: read, and changed by whoever saw the latest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from conversion_relay.core.lane import Condition, Lane
from conversion_relay.service.store.cluster import SharedLane
from conversion_relay.service.store.lane_words import lane_of, words_of
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import optionally_given, optionally_kept
from conversion_relay.service.store.rows import optional_microseconds
from conversion_relay.service.store.times import nearest_moment

if TYPE_CHECKING:
    import asyncpg

_SECONDS: Final = 2.0
"""A delivery waits for it, and nothing is lost if it does not come."""


class SharedLanes:
    """Lanes as all nodes see them."""

    def __init__(self, database: Database) -> None:
        self._connections = database.hot

    async def lane(self, destination: str) -> SharedLane | None:
        """The lane as it stands."""

        async def read(connection: Connection) -> asyncpg.Record | None:
            return await connection.fetchrow(QUERIES["lane"], destination)

        row = await self._connections.run(read, _SECONDS)
        if row is None:
            return None
        credential, condition, since, reason, revision, value, told_at = row
        if value is None:
            began = None if since is None else nearest_moment(since)
            lane = Lane(Condition(condition), began, optionally_given(reason))
        else:
            lane = lane_of(value)
        return SharedLane(destination, credential, lane, revision, told_at)

    async def change_lane(self, lane: SharedLane) -> bool:
        """Put this lane in the place of the one of its revision; False: another did before."""
        query = QUERIES["change_lane" if lane.revision else "first_lane"]
        row = (
            lane.destination,
            lane.revision,
            lane.credential,
            lane.lane.condition.value,
            optional_microseconds(lane.lane.since),
            optionally_kept(lane.lane.reason),
            words_of(lane.lane),
        )

        async def change(connection: Connection) -> int | None:
            revision: int | None = await connection.fetchval(query, *row)
            return revision

        return await self._connections.run(change, _SECONDS) is not None
