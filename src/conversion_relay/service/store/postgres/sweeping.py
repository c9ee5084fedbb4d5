"""Keeping house: the order of the steps, one node at a time. Knows no clock.

Each piece is a transaction of its own, short, on a connection that no delivery needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeAlias, TypeVar

from conversion_relay.service.store.port import Retention, Swept
from conversion_relay.service.store.postgres import ageing, clock, removal, slots, whole_days
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.days import day_of, make_days
from conversion_relay.service.store.postgres.locks import SWEEP_LOCK, Hindered, briefly
from conversion_relay.service.store.postgres.memory import Memory
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.rounds import Round, round_at

_Result = TypeVar("_Result")
_Piece: TypeAlias = Callable[[Retention, datetime], Awaitable[Swept | None]]
_AHEAD: Final = 3
"""Days that have their partitions, the present one included."""
_FOLD_EVERY: Final = timedelta(seconds=10)
_SECONDS: Final = 60.0


class Sweeping:
    """Removes what is too old, a step at a time; remembers where the last step ended."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory
        self._round: Round | None = None
        self._folded_at: datetime | None = None
        self._pieces: tuple[_Piece, ...] = (
            self._mend,
            self._fold,
            self._remove_days,
            self._remove,
            self._thin,
            self._expire,
            self._age,
            self._turn_ledger,
        )

    async def step(self, retention: Retention, now: datetime) -> Swept:
        """The first of what there is to do, unless another node is at it."""
        swept = Swept()
        for piece in self._pieces:
            done = await piece(retention, now)
            if done is None:
                return swept
            swept = swept.then(done)
            if not swept.is_done:
                return swept
        return swept

    async def _mend(self, retention: Retention, now: datetime) -> Swept | None:
        """Make partitions ahead, and pull back times that lie ahead."""
        del retention
        return await self._alone(partial(_mend, node=self._database.node, now=now))

    async def _fold(self, retention: Retention, now: datetime) -> Swept | None:
        """Add up counts now and then."""
        del retention
        last = self._folded_at
        if last is not None and abs(now - last) < _FOLD_EVERY:
            return Swept()
        self._folded_at = now
        return await self._alone(_fold)

    async def _remove_days(self, retention: Retention, now: datetime) -> Swept | None:
        work = partial(whole_days.remove_days, retention=retention, now=now)
        return await self._alone(work)

    async def _remove(self, retention: Retention, now: datetime) -> Swept | None:
        so_far = round_at(now, self._round)
        work = partial(removal.remove_outlived, retention=retention, now=now, so_far=so_far)
        done = await self._alone(work)
        if done is None:
            return None
        swept, self._round = done
        return swept

    async def _thin(self, retention: Retention, now: datetime) -> Swept | None:
        del retention, now
        return await self._alone(partial(removal.thin, sealer=self._database.sealer))

    async def _expire(self, retention: Retention, now: datetime) -> Swept | None:
        del retention
        return await self._memory.expire(now)

    async def _age(self, retention: Retention, now: datetime) -> Swept | None:
        return await self._alone(partial(ageing.age, retention=retention, now=now))

    async def _turn_ledger(self, retention: Retention, now: datetime) -> Swept | None:
        return await self._alone(partial(slots.turn, retention=retention.ledger, now=now))

    async def _alone(self, work: Callable[[Connection], Awaitable[_Result]]) -> _Result | None:
        """What came of it; None: another node sweeps."""

        async def alone(connection: Connection) -> _Result | None:
            if not await connection.fetchval(QUERIES["sweep_alone"], SWEEP_LOCK):
                return None
            return await work(connection)

        return await self._database.slow.transact(alone, _SECONDS)


async def _mend(connection: Connection, node: str, now: datetime) -> Swept:
    try:
        async with briefly(connection):
            await make_days(connection, range(day_of(now), day_of(now) + _AHEAD))
    except Hindered:
        pass  # there is time for it
    return Swept(is_done=await clock.pull_back(connection, node, now))


async def _fold(connection: Connection) -> Swept:
    await connection.execute(QUERIES["fold_event_counts"])
    await connection.execute(QUERIES["fold_delivery_counts"])
    return Swept()
