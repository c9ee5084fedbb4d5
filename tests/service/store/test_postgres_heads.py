"""Looking for what is due while an old transaction keeps what was claimed from being cleared."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.connections import Connections
from conversion_relay.service.store.postgres.heads import Heads
from conversion_relay.service.store.postgres.pools import HOT, open_pool
from conversion_relay.service.store.postgres.store import PostgresStore
from conversion_relay.service.store.times import to_microseconds
from service.store.conftest import KEY
from service.store.examples import APP, LEASE, NOW, WEB, delivered, delivery, event, retried
from support.postgres import new_database, rows_of

AT = to_microseconds(NOW)
SECOND = 1_000_000


@dataclass
class Clock:
    """Goes on by so many seconds each time it is read."""

    step: float
    now: float = 1000.0

    def __call__(self) -> float:
        """The time."""
        self.now += self.step
        return self.now


@pytest.fixture
async def url() -> str:
    return await asyncio.to_thread(new_database)


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = await open_store(Address(url, weak_durability=True), Sealer([KEY]))
    yield store
    await store.close()


@pytest.fixture
async def connections(url: str) -> AsyncIterator[Connections]:
    pool = await open_pool(Address(url), 1, HOT)
    yield pool
    await pool.close()


async def found(heads: Heads, latest: int = AT) -> list[int]:
    return [head.due_at - AT for head in await heads.of("tiktok", latest)]


async def test_heads_are_of_one_destination_the_earliest_first(
    store: PostgresStore, connections: Connections
) -> None:
    heads = Heads(connections)
    assert await found(heads) == []
    await store.append(
        [
            event("later", received_at=NOW + LEASE),
            event("app", delivery("app", envelope=APP)),
            event("other", delivery("other", destination="other")),
        ]
    )
    assert await found(heads) == [0, 60 * SECOND]


async def test_after_a_long_look_those_that_follow_begin_where_it_found_something(
    store: PostgresStore, connections: Connections
) -> None:
    """What is put before that is not seen by them, which shows where they begin."""
    clock = Clock(step=0.1)
    heads = Heads(connections, clock)
    await store.append([event("a")])
    assert await found(heads) == [0]
    await store.append([event("before", received_at=NOW - LEASE)])
    assert await found(heads) == [0], "from where it found something"
    clock.now += 20 * 0.1
    assert await found(heads) == [-60 * SECOND], "from the beginning again"


async def test_a_look_that_was_quick_is_always_from_the_beginning(
    store: PostgresStore, connections: Connections
) -> None:
    heads = Heads(connections, Clock(step=0.0))
    await store.append([event("a")])
    assert await found(heads) == [0]
    await store.append([event("before", received_at=NOW - LEASE)])
    assert await found(heads) == [-60 * SECOND]


async def test_what_this_node_put_there_itself_is_seen_at_once(
    store: PostgresStore, connections: Connections
) -> None:
    heads = Heads(connections, Clock(step=0.1))
    await store.append([event("a")])
    assert await found(heads) == [0]
    await store.append([event("before", received_at=NOW - LEASE)])
    heads.lower(AT - 60 * SECOND)
    assert await found(heads) == [-60 * SECOND]


async def test_what_waits_for_later_is_no_place_to_begin(
    store: PostgresStore, connections: Connections
) -> None:
    heads = Heads(connections, Clock(step=0.1))
    await store.append([event("a", received_at=NOW + LEASE)])
    assert await found(heads) == [60 * SECOND]
    await store.append([event("b")])
    assert await found(heads) == [0]


async def test_where_nothing_was_the_next_look_begins_with_the_present(
    store: PostgresStore, connections: Connections
) -> None:
    heads = Heads(connections, Clock(step=0.1))
    await store.append([event("a")])
    await store.claim("tiktok", 1, LEASE * 2, NOW)
    assert await found(heads) == [120 * SECOND]
    await store.append([event("late", received_at=NOW - LEASE)])
    assert await found(heads) == [120 * SECOND]
    await store.append([event("now")])
    assert await found(heads) == [0]


async def test_what_was_found_when_nothing_was_claimed_is_found_by_the_claim(
    store: PostgresStore, connections: Connections
) -> None:
    """A worker asks when something is due, and claims then: the first look is the whole one."""
    clock = Clock(step=0.1)
    heads = Heads(connections, clock)
    await store.append([event("a")])
    assert await found(heads) == [0]
    await store.append([event("before", received_at=NOW - LEASE)])
    for _ in range(3):
        clock.now += 20 * 0.1
        (seen,) = await heads.of("tiktok")
        assert seen.due_at - AT == -60 * SECOND
        assert await found(heads) == [-60 * SECOND]


async def test_what_waits_for_later_is_no_place_to_begin_when_nothing_was_claimed(
    store: PostgresStore, connections: Connections
) -> None:
    heads = Heads(connections, Clock(step=0.1))
    await store.append([event("a", received_at=NOW + LEASE)])
    assert await found(heads) == [60 * SECOND]
    assert len(await heads.of("tiktok")) == 1
    await store.append([event("b")])
    assert await found(heads) == [0]


async def test_a_whole_look_that_is_not_done_in_time_stops_no_other(
    store: PostgresStore, connections: Connections
) -> None:
    clock = Clock(step=0.1)
    heads = Heads(connections, clock)
    await store.append([event("a")])
    assert await found(heads) == [0]
    clock.now += 20 * 0.1
    looking = asyncio.ensure_future(heads.of("tiktok"))
    await asyncio.sleep(0)
    looking.cancel()
    await asyncio.wait([looking])
    await store.append([event("before", received_at=NOW - LEASE)])
    assert await found(heads) == [0], "a short one"


_STEPS = 120
_LONGEST = 10.0 + 7.0
"""Seconds for which something due may be overlooked, and for which a step may last."""
_DUE = (
    "SELECT envelopes.envelope, min(due_at) AS due_at FROM deliveries JOIN envelopes "
    "ON envelopes.id = deliveries.envelope WHERE due_at IS NOT NULL GROUP BY 1"
)


@dataclass
class Course:
    """Random work of a node and of others, and what the node overlooks meanwhile.

    Attributes:
        ahead: of this node's clock, before the present; it is set back now and then.
        missed: since when something that is due was not found, by envelope.
        often: how often something was.
    """

    store: PostgresStore
    heads: Heads
    clock: Clock
    url: str
    dice: random.Random
    ahead: timedelta = timedelta()
    missed: dict[str, float] = field(default_factory=dict)
    often: int = 0
    _number: int = 0

    @property
    def now(self) -> datetime:
        """By this node's clock."""
        return NOW + timedelta(seconds=self.clock.now - 1000) + self.ahead

    async def step(self) -> None:
        """Something happens, some time passes, and the node looks as a worker does."""
        works = (self.appended, self.appended_by_others, self.claimed, self.claimed_by_others)
        await self.dice.choice(works)()
        self.clock.now += self.dice.choice([0.0, 0.1, 1.0, 4.0])
        if self.dice.random() < 0.05:
            self.ahead -= timedelta(seconds=self.dice.randrange(8))
        if self.dice.random() < 0.7:
            await self.heads.of("tiktok")
        await self.compared()

    async def appended(self) -> None:
        """By this node: what was just received, or lay in a spool for long."""
        moment = self.now - timedelta(seconds=self.dice.choice([0, 0, 0, 2, 3600]))
        await self.kept(moment)
        self.heads.lower(to_microseconds(moment))

    async def appended_by_others(self) -> None:
        """Whose clocks differ, and who may be slow to commit; or released, or pulled back."""
        await self.kept(self.now + timedelta(seconds=self.dice.randrange(-12, 3)))

    async def kept(self, moment: datetime) -> None:
        """One event."""
        self._number += 1
        name = f"m{self._number}"
        planned = delivery(name, envelope=self.dice.choice([WEB, APP]))
        await self.store.append([event(name, planned, received_at=moment)])

    async def claimed(self) -> None:
        """From where this node sees something; some leases run out."""
        for head in await self.heads.of("tiktok", to_microseconds(self.now)):
            if head.due_at <= to_microseconds(self.now):
                await self.claimed_by_others(lowered=True)
                break

    async def claimed_by_others(self, *, lowered: bool = False) -> None:
        """What is claimed is delivered, comes again, or is forgotten until its lease ends."""
        claims = await self.store.claim("tiktok", 3, timedelta(seconds=5), self.now)
        for claim in claims:
            again = self.now + timedelta(seconds=self.dice.randrange(6))
            ends = [delivered(claim), delivered(claim), retried(claim, again)]
            if self.dice.random() < 0.8:
                end = self.dice.choice(ends)
                await self.store.settle([end], self.now)
                if lowered and end.transition.due_at is not None:
                    self.heads.lower(to_microseconds(again))

    async def compared(self) -> None:
        """With what there is."""
        at = to_microseconds(self.now)
        seen = {head.name: head.due_at for head in await self.heads.of("tiktok", at)}
        overlooked = {
            row["envelope"]
            for row in await rows_of(self.url, _DUE)
            if row["due_at"] <= at and seen.get(row["envelope"], at + 1) > row["due_at"]
        }
        self.often += len(overlooked)
        self.missed = {name: self.missed.get(name, self.clock.now) for name in overlooked}
        assert all(self.clock.now - since <= _LONGEST for since in self.missed.values())


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_nothing_due_is_overlooked_for_longer_than_seconds(
    store: PostgresStore, connections: Connections, url: str, seed: int
) -> None:
    clock = Clock(step=0.5)
    heads = Heads(connections, clock)
    course = Course(store, heads, clock, url, random.Random(seed))  # noqa: S311 (a seed)
    for _ in range(_STEPS):
        await course.step()
    assert course.often, "looks that begin later do overlook something for a moment"
