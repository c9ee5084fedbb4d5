"""From new events to rows: duplicates, ids, sealing, one transaction. Knows no queue.

What needs no transaction is done before it: looking for duplicates, taking ids, sealing. The
transaction then decides: if another node kept one of the events meanwhile, it is undone and all of
it begins anew.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from typing import Final

import asyncpg

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.originals import in_chunk_order
from conversion_relay.service.store.port import NewEvent, Receipt
from conversion_relay.service.store.postgres import ledger
from conversion_relay.service.store.postgres.batches import Batch, Column, Run, columns_of
from conversion_relay.service.store.postgres.connections import COMMAND_SECONDS, Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.days import day_of, first_id, make_days
from conversion_relay.service.store.postgres.memory import Memory
from conversion_relay.service.store.postgres.numbers import BLOCK, Numbers
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.rows import EnvelopeKey

_TRIES: Final = 5
_BYTES_A_SECOND: Final = 2 * 1024 * 1024
"""Of originals; the slowest way to the database that large batches get through."""
_SEALED_AT_ONCE: Final = 16
"""More than so many events are sealed in a thread."""


class _Overtaken(Exception):
    """Another node kept one of these events, or moved on to another slot of the ledger."""


class Ingest:
    """Hands out ids and keeps events."""

    def __init__(self, database: Database, memory: Memory) -> None:
        self._connections = database.hot
        self._sealer = database.sealer
        self._memory = memory
        self._events = Numbers(database.hot, "event_numbers")
        self._deliveries = Numbers(database.hot, "delivery_numbers")
        self._envelopes: dict[EnvelopeKey, int] = {}
        self._days: set[int] = set()

    async def keep(self, appends: Sequence[Sequence[NewEvent]]) -> list[Receipt]:
        """Keep what is new of these; a receipt for each, once all is committed.

        Raises:
            StoreUnavailable: nothing was kept, unless only the answer got lost; see its cause.
        """
        events = list(chain.from_iterable(appends))
        keys = [(event.source, event.message_id) for event in events]
        for _ in range(_TRIES):
            known = await self._connections.run(partial(ledger.look, keys=keys))
            fresh = _fresh(keys, known)
            new = [event for event, is_fresh in zip(events, fresh, strict=True) if is_fresh]
            if not new or await self._kept(known.slot, new):
                flags = iter(fresh)
                return [Receipt(tuple(islice(flags, len(append)))) for append in appends]
        raise StoreUnavailable("other nodes were faster again and again")

    async def delivery_numbers(self, day: int, count: int) -> range:
        """So many ids, at most BLOCK, for further deliveries of events of that day.

        Raises:
            StoreUnavailable: the database gives none.
        """
        await self._have_days({day})
        first = first_id(day) + await self._deliveries.take(count)
        return range(first, first + count)

    async def envelope_ids(
        self, connection: Connection | None, keys: Collection[EnvelopeKey]
    ) -> Mapping[EnvelopeKey, int]:
        """The ids of these envelopes, which get one where they have none.

        Args:
            connection: to be used where one has to be made, outside of a transaction; None: one
                of the pool.
            keys: destination and envelope of each.

        Raises:
            StoreUnavailable: one has to be made, and the database does not do it.
        """
        missing = sorted(set(keys) - self._envelopes.keys())
        if missing:
            work = partial(_envelopes, keys=missing)
            made = self._connections.run(work) if connection is None else work(connection)
            self._envelopes.update(await made)
        return {key: self._envelopes[key] for key in keys}

    async def _kept(self, slot: int, new: Sequence[NewEvent]) -> bool:
        """Whether all of these were new still."""
        runs = await self._runs(new)
        named = {(d.destination, d.envelope) for event in new for d in event.deliveries}
        envelopes = await self.envelope_ids(None, named)
        sealing = partial(columns_of, runs, envelopes, self._sealer, self._memory.marks)
        columns = await _done(sealing, len(new))
        ordered = [event for run in runs for event in run.events]
        writing = partial(self._write, Batch(slot, ordered, columns))
        try:
            await self._connections.transact(writing, _seconds(ordered))
        except _Overtaken:
            return False
        except StoreUnavailable as error:
            if not _is_missing_day(error):
                raise
            self._days.clear()
            return False
        return True

    async def _runs(self, new: Sequence[NewEvent]) -> list[Run]:
        by_day: dict[int, list[NewEvent]] = defaultdict(list)
        for event in in_chunk_order(new):
            by_day[day_of(event.received_at)].append(event)
        await self._have_days(by_day.keys())
        return [
            await self._run(day, part) for day, found in by_day.items() for part in _parts(found)
        ]

    async def _run(self, day: int, events: Sequence[NewEvent]) -> Run:
        deliveries = sum(len(event.deliveries) for event in events)
        first_event = first_id(day) + await self._events.take(len(events))
        return Run(events, first_event, (await self.delivery_numbers(day, deliveries)).start)

    async def _have_days(self, days: Collection[int]) -> None:
        missing = set(days) - self._days
        if missing:
            await self._connections.transact(partial(make_days, days=missing))
            self._days |= missing

    async def _write(self, batch: Batch, connection: Connection) -> None:
        """Insert everything, and what it teaches, inside a transaction."""
        await ledger.share(connection)
        taken: int = await connection.fetchval(QUERIES["keep"], batch.slot, *batch.columns)
        if taken != len(batch.events):
            raise _Overtaken
        await self._memory.learn(connection, batch.events)
        counted = [(event.received_at, event.key_counts) for event in batch.events]
        await self._memory.count(connection, counted)


def _fresh(keys: Sequence[tuple[str, str]], known: ledger.Known) -> list[bool]:
    """For each event whether neither the ledger nor an earlier one of these has its key."""
    seen: set[tuple[str, str]] = set()
    fresh: list[bool] = []
    for position, key in enumerate(keys):
        fresh.append(position not in known.positions and key not in seen)
        seen.add(key)
    return fresh


def _parts(events: Sequence[NewEvent]) -> list[Sequence[NewEvent]]:
    """Runs whose ids, and those of their deliveries, fit into one block each."""
    parts: list[Sequence[NewEvent]] = []
    start = deliveries = 0
    for position, event in enumerate(events):
        deliveries += len(event.deliveries)
        if position - start >= BLOCK or deliveries > BLOCK:
            parts.append(events[start:position])
            start, deliveries = position, len(event.deliveries)
    return [*parts, events[start:]]


def _is_missing_day(error: StoreUnavailable) -> bool:
    """Whether a row met no partition, because its day was dropped meanwhile."""
    cause = error.__cause__
    return isinstance(cause, asyncpg.CheckViolationError) and cause.constraint_name is None


async def _done(sealing: partial[list[Column]], events: int) -> list[Column]:
    """A thread costs more than it saves where there is little to seal."""
    return sealing() if events <= _SEALED_AT_ONCE else await asyncio.to_thread(sealing)


async def _envelopes(
    connection: Connection, keys: Sequence[EnvelopeKey]
) -> dict[EnvelopeKey, int]:
    destinations, envelopes = [key[0] for key in keys], [key[1] for key in keys]
    await connection.execute(QUERIES["keep_envelopes"], destinations, envelopes)
    rows = await connection.fetch(QUERIES["envelopes"], destinations, envelopes)
    return {(destination, envelope): number for number, destination, envelope in rows}


def _seconds(events: Sequence[NewEvent]) -> float:
    """By when these are kept, or the database does not answer: large ones travel longer."""
    return COMMAND_SECONDS + sum(len(event.original) for event in events) / _BYTES_A_SECOND
