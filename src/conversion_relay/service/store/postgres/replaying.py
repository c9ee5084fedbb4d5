"""Sending again what is kept, and discarding it.

What was seen may be out of date by the time it is written, and another node may be at the same
event: every transaction holds the events it is about, and every statement asks again whether what
was seen still holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.sealing import Packing
from conversion_relay.service.store.port import Requeue, kept_event_id
from conversion_relay.service.store.postgres.aliases import Alias, know_as, take_back
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.days import day_of_id
from conversion_relay.service.store.postgres.ingest import Ingest
from conversion_relay.service.store.postgres.memory import Memory
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import given, kept, optionally_kept
from conversion_relay.service.store.requeues import (
    DISCARDABLE,
    REPLAYABLE,
    Identity,
    first_made,
)
from conversion_relay.service.store.rows import EnvelopeKey, worth_of
from conversion_relay.service.store.times import to_microseconds

_AT_ONCE: Final = 500
"""In one transaction."""
_SECONDS: Final = 15.0
_Row: TypeAlias = tuple[str | int | bytes | None, ...]


@dataclass(frozen=True, slots=True)
class _Round:
    """Requeues of as many events, with what carrying them out needs.

    Attributes:
        requeues: by their events; no two have one key of the ledger.
        identities: of these events.
        numbers: ids for the deliveries of those that get a further one.
        envelopes: of what was planned.
        sealed: the bodies of what was planned, by event.
        now: the present, in microseconds.
    """

    requeues: Mapping[int, Requeue]
    identities: Mapping[int, Identity]
    numbers: Mapping[int, int]
    envelopes: Mapping[EnvelopeKey, int]
    sealed: Mapping[int, bytes]
    now: int

    def aliases(self) -> list[Alias]:
        """The keys under which events are to be known as well."""
        return [
            Alias(identity.source, one.message_id, identity.received_at, event)
            for event, one in self.requeues.items()
            if one.message_id is not None
            for identity in (self.identities[event],)
        ]

    def content(self, event: int, planned: PlannedDelivery) -> _Row:
        """What is sent, as the last columns of a query want it."""
        return (
            self.envelopes[planned.destination, planned.envelope],
            planned.envelope,
            kept(planned.mapping),
            kept(planned.event_name),
            optionally_kept(kept_event_id(planned.event_id)),
            self.sealed[event],
            *worth_of(planned),
        )


class Replaying:
    """Sends again what is kept, and discards it."""

    def __init__(self, database: Database, ingest: Ingest, memory: Memory) -> None:
        self._database = database
        self._ingest = ingest
        self._memory = memory

    async def requeue(self, requeues: Sequence[Requeue], now: datetime) -> tuple[bool, ...]:
        """Make these pending and due; says of each, in order, whether that was done.

        Of one event each comes after the one before, in a transaction of its own.
        """
        events = sorted({one.event for one in requeues})
        rows = await self._database.hot.run(
            lambda one: one.fetch(QUERIES["identities"], events), _SECONDS
        )
        known = {
            event: Identity(given(source), given(message_id), received_at)
            for event, source, message_id, received_at in rows
        }
        done = [False] * len(requeues)
        for places in _rounds(requeues, known):
            by_event = {requeues[place].event: requeues[place] for place in places}
            chosen = await self._round(by_event, known, now)
            work = partial(self._carry_out, chosen)
            carried_out = await self._database.hot.transact(work, _SECONDS)
            for place in places:
                done[place] = requeues[place].event in carried_out
        return tuple(done)

    async def discard(
        self, deliveries: Sequence[int], reason: str, now: datetime
    ) -> frozenset[int]:
        """Suppress what is dead, uncertain or held among these; gives which that were."""
        asked = (deliveries, DISCARDABLE, kept(reason), to_microseconds(now))

        async def work(connection: Connection) -> frozenset[int]:
            await connection.fetch(QUERIES["hold_deliveries"], deliveries)
            rows = await connection.fetch(QUERIES["discard"], *asked)
            return frozenset(number for (number,) in rows)

        return await self._database.hot.transact(work, _SECONDS)

    async def _round(
        self, requeues: Mapping[int, Requeue], known: Mapping[int, Identity], now: datetime
    ) -> _Round:
        """What needs no transaction: ids, envelopes, sealing."""
        planned = {event: one.planned for event, one in requeues.items() if one.planned}
        values = [(one.body, known[event].context(one)) for event, one in planned.items()]
        sealed = self._database.sealer.seal_all(values, Packing.PLAIN)
        keys = {(one.destination, one.envelope) for one in planned.values()}
        return _Round(
            requeues,
            known,
            await self._numbers([event for event in planned if not requeues[event].replaced]),
            await self._ingest.envelope_ids(None, keys),
            dict(zip(planned, sealed, strict=True)),
            to_microseconds(now),
        )

    async def _numbers(self, events: Collection[int]) -> dict[int, int]:
        """An id for a further delivery of each of these events."""
        by_day: dict[int, list[int]] = defaultdict(list)
        for event in events:
            by_day[day_of_id(event)].append(event)
        numbers: dict[int, int] = {}
        for day, some in by_day.items():
            drawn = await self._ingest.delivery_numbers(day, len(some))
            numbers.update(zip(some, drawn, strict=True))
        return numbers

    async def _carry_out(self, chosen: _Round, connection: Connection) -> frozenset[int]:
        """The events of those that were done, inside a transaction."""
        rows = await connection.fetch(QUERIES["hold_events"], list(chosen.requeues))
        there = {event for (event,) in rows}
        aliases = [one for one in chosen.aliases() if one.event in there]
        made, refused = await know_as(connection, aliases)
        asked = {
            event: one
            for event, one in chosen.requeues.items()
            if event in there and event not in refused
        }
        done = frozenset(
            {
                *await _as_sent(connection, chosen, asked),
                *await _planned(connection, chosen, asked),
                *await _also(connection, chosen, asked),
            }
        )
        await take_back(connection, [one for one in made if one.event not in done])
        await connection.execute(QUERIES["now_planned"], list(done))
        carried_out = [one for event, one in asked.items() if event in done]
        await self._memory.count(connection, first_made(carried_out, chosen.identities))
        return done


async def _as_sent(
    connection: Connection, chosen: _Round, asked: Mapping[int, Requeue]
) -> list[int]:
    """What goes with the body it had."""
    rows = [
        (event, *_as_seen(one)) for event, one in asked.items() if one.replaced and not one.planned
    ]
    return await _done(connection, "requeue_as_sent", rows, REPLAYABLE, chosen.now)


async def _planned(
    connection: Connection, chosen: _Round, asked: Mapping[int, Requeue]
) -> list[int]:
    """What goes as something else."""
    rows = [
        (event, *_as_seen(one), *chosen.content(event, one.planned))
        for event, one in asked.items()
        if one.replaced and one.planned
    ]
    return await _done(connection, "requeue_planned", rows, REPLAYABLE, chosen.now)


async def _also(connection: Connection, chosen: _Round, asked: Mapping[int, Requeue]) -> list[int]:
    """What was never made before."""
    rows = [
        (
            event,
            chosen.numbers[event],
            one.planned.destination,
            *chosen.content(event, one.planned),
        )
        for event, one in asked.items()
        if one.planned and not one.replaced
    ]
    return await _done(connection, "deliver_also", rows, chosen.now)


async def _done(
    connection: Connection, query: str, rows: Sequence[_Row], *others: Sequence[str] | int
) -> list[int]:
    """The events of the rows for which this query did something."""
    if not rows:
        return []
    found = await connection.fetch(QUERIES[query], *zip(*rows, strict=True), *others)
    return [event for (event,) in found]


def _as_seen(requeue: Requeue) -> _Row:
    """The delivery, as long as nothing happened to it since."""
    record = requeue.replaced
    return () if record is None else (record.id, record.state.value, record.attempts)


def _rounds(requeues: Sequence[Requeue], known: Mapping[int, Identity]) -> Iterator[Sequence[int]]:
    """The places of these requeues, in portions that name no event and no key of the ledger twice.

    What comes later of an event or key stands in a later portion; events that are gone in none.
    """
    left = [place for place, one in enumerate(requeues) if one.event in known]
    while left:
        names: set[int | tuple[str, str]] = set()
        portion: list[int] = []
        for place in left:
            one = requeues[place]
            own: set[int | tuple[str, str]] = {one.event}
            if one.message_id is not None:
                own.add((known[one.event].source, one.message_id))
            if names.isdisjoint(own) and len(portion) < _AT_ONCE:
                portion.append(place)
            names |= own
        yield portion
        left = sorted(set(left) - set(portion))
