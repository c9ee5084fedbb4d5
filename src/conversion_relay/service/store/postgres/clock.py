"""Mends what a clock that was set back would leave waiting.

Inside a transaction; a bounded number at once, for a whole backlog may be concerned. The clocks
of nodes may differ: what another one planned may lie further ahead by as much as its clock does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.rounds import LONGEST_WAIT
from conversion_relay.service.store.times import to_microseconds

_PULLED_AT_ONCE: Final = 500


async def pull_back(connection: Connection, node: str, now: datetime) -> bool:
    """What waits for longer than any rule lets it goes now; gives whether that was all."""
    ahead: float = await connection.fetchval(QUERIES["clocks_ahead"], node)
    at = to_microseconds(now)
    latest = to_microseconds(now + LONGEST_WAIT + timedelta(seconds=ahead))
    waiting = await _ids(connection, "ahead", latest)
    if waiting:
        await connection.execute(QUERIES["pull_back"], waiting, at, latest)
    held = await _ids(connection, "held_ahead", latest)
    if held:
        await connection.execute(QUERIES["pull_back_held"], held, at)
    await connection.execute(QUERIES["pull_back_ledger"], at, latest)
    return max(len(waiting), len(held)) < _PULLED_AT_ONCE


async def _ids(connection: Connection, query: str, latest: int) -> list[int]:
    rows = await connection.fetch(QUERIES[query], latest, _PULLED_AT_ONCE)
    return [number for (number,) in rows]
