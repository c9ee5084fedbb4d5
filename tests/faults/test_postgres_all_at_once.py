"""All that two nodes can do to a database of many days, at once: nothing lost, none twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from time import monotonic

import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    NewEvent,
    Requeue,
    Retention,
    Selection,
    Settlement,
)
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.connections import Connection, Connections
from conversion_relay.service.store.postgres.locks import SWEEP_LOCK
from conversion_relay.service.store.postgres.pools import SLOW, open_pool
from conversion_relay.service.store.postgres.store import PostgresStore
from conversion_relay.service.store.postgres.whole_days import remove_days
from service.store.conftest import KEY
from service.store.examples import NOW, delivery, event, retried
from support.postgres import new_database, rows_of

SECONDS = 15.0
DAYS = 12
USERS = 40
DAY = timedelta(days=1)
RETENTION = Retention(events=4 * DAY, unmatched=DAY, dead_letters=8 * DAY, ledger=40 * DAY)
DESTINATIONS = ("tiktok", "other")
_SEED = 20260114
_COUNTS_DIFFER = """
SELECT count(*) FROM (
    (SELECT id >> 36, envelope, state, count(*) FROM deliveries GROUP BY 1, 2, 3
     EXCEPT SELECT day, envelope, state, sum(change) FROM delivery_counts GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT day, envelope, state, sum(change) FROM delivery_counts GROUP BY 1, 2, 3
     HAVING sum(change) <> 0
     EXCEPT SELECT id >> 36, envelope, state, count(*) FROM deliveries GROUP BY 1, 2, 3)
    UNION ALL
    (SELECT id >> 36, 0, disposition, count(*) FROM events GROUP BY 1, 3
     EXCEPT SELECT day, 0, disposition, sum(change) FROM event_counts GROUP BY 1, 3)
    UNION ALL
    (SELECT day, 0, disposition, sum(change) FROM event_counts GROUP BY 1, 3
     HAVING sum(change) <> 0
     EXCEPT SELECT id >> 36, 0, disposition, count(*) FROM events GROUP BY 1, 3)
) AS differing
"""
_NOTHING = {
    "counts are those of the rows": _COUNTS_DIFFER,
    "every delivery has its event": "SELECT count(*) FROM deliveries WHERE event NOT IN "
    "(SELECT id FROM events)",
    "every body has its delivery": "SELECT count(*) FROM bodies WHERE delivery NOT IN "
    "(SELECT id FROM deliveries WHERE state <> 'delivered')",
    "what was not delivered has its body": "SELECT count(*) FROM deliveries WHERE "
    "state <> 'delivered' AND id NOT IN (SELECT delivery FROM bodies)",
    "every event has its original": "SELECT count(*) FROM events WHERE NOT EXISTS (SELECT FROM "
    "originals WHERE id BETWEEN first_event AND last_event)",
    "a key stands in the ledger once": "SELECT count(*) FROM (SELECT FROM ledger GROUP BY "
    "message_id, source HAVING count(*) > 1) AS twice",
}


@dataclass
class Course:
    """What was done, and what came of it.

    Attributes:
        acknowledged: messageIds, with the user of each.
        ended: how often a delivery of the event got an end with which it may go.
        delivered: how often each delivery was.
        forgotten: users.
        refused: why something could not be done, and how often.
        done: what was done how often.
    """

    dice: random.Random
    until: float
    acknowledged: dict[str, str] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    delivered: Counter[int] = field(default_factory=Counter)
    forgotten: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    async def again_and_again(self, name: str, work: Callable[[], Awaitable[int]]) -> None:
        """Until the time is up; what the database refuses is counted."""
        while monotonic() < self.until:
            try:
                self.done[name] += await work()
            except StoreUnavailable as error:
                self.refused[f"{name}: {error}"] += 1
            await asyncio.sleep(self.dice.random() * 0.02)

    def new_event(self) -> NewEvent:
        """Of some day and some user."""
        name = f"m{self.dice.getrandbits(60)}"
        user = f"u{self.dice.randrange(USERS)}"
        made = event(
            name,
            delivery(name, destination=self.dice.choice(DESTINATIONS)),
            received_at=NOW - self.dice.randrange(DAYS) * DAY,
            original=b'{"type":"track","messageId":"%s"}' % name.encode(),
        )
        self.acknowledged[name] = user
        return replace(made, subjects=(user,))

    async def append(self, store: PostgresStore) -> int:
        """Some events of some days; an answer that is lost counts as given."""
        made = [self.new_event() for _ in range(self.dice.randrange(1, 30))]
        try:
            return (await store.append(made)).accepted
        except StoreUnavailable:
            for one in made:
                self.acknowledged.pop(one.message_id)
            raise

    async def deliver(self, store: PostgresStore) -> int:
        """Claims some, and ends each in some way; some leases run out at once."""
        lease = timedelta(seconds=self.dice.choice([0, 60, 60]))
        claims = await store.claim(
            self.dice.choice(DESTINATIONS), self.dice.randrange(1, 60), lease, NOW
        )
        await asyncio.sleep(self.dice.random() * 0.01)
        for claim in claims:
            await self._settle(store, claim)
        return len(claims)

    async def _settle(self, store: PostgresStore, claim: ClaimedDelivery) -> None:
        transition = self.dice.choices(
            [
                Transition(State.DELIVERED, Cause.ACCEPTED),
                Transition(State.DEAD, Cause.REFUSED, reason="no"),
                Transition(State.HELD, Cause.CREDENTIALS, reason="no"),
                retried(claim, NOW).transition,
            ],
            [60, 25, 5, 10],
        )[0]
        if await store.settle([Settlement(claim.id, claim.fence, transition)], NOW):
            self.delivered[claim.id] += transition.state is State.DELIVERED
            self.ended[claim.message_id] += transition.state in {State.DELIVERED, State.DEAD}

    async def release(self, store: PostgresStore) -> int:
        """What is held goes on."""
        return await store.release(self.dice.choice(DESTINATIONS), NOW)

    async def requeue(self, store: PostgresStore) -> int:
        """Some of what is dead goes again."""
        page = await store.select(Selection(frozenset({State.DEAD})), 0, 20)
        dead = [
            Requeue(one.id, kept.record)
            for one in page.events
            for kept in one.deliveries
            if kept.record.state is State.DEAD and self.dice.random() < 0.3
        ]
        return sum(await store.requeue(dead, NOW))

    async def forget(self, store: PostgresStore) -> int:
        """A user at a time, of a few; what comes in of him meanwhile may stay."""
        await asyncio.sleep(0.3)
        user = f"u{self.dice.randrange(5)}"
        self.forgotten.add(user)
        return (await store.forget(frozenset({user}), None, NOW)).events

    async def sweep(self, store: PostgresStore) -> int:
        """One step."""
        return (await store.sweep(RETENTION, NOW)).events

    async def empty(self, connections: Connections) -> int:
        """Days are written anew that the sweep finds too small for that."""

        async def work(connection: Connection) -> int:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", SWEEP_LOCK):
                return 0
            swept = await remove_days(connection, RETENTION, NOW, many_events=20)
            return swept.events

        await asyncio.sleep(0.2)
        return await connections.transact(work, 10.0)


@pytest.fixture
async def url() -> str:
    return await asyncio.to_thread(new_database)


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[list[PostgresStore]]:
    address = Address(url, weak_durability=True)
    opened = [await open_store(address, Sealer([KEY]), name) for name in ("one", "other")]
    yield opened
    for one in opened:
        await one.close()


async def test_nothing_is_lost_and_nothing_delivered_twice(
    nodes: list[PostgresStore], url: str
) -> None:
    connections = await open_pool(Address(url), 2, SLOW)
    course = Course(random.Random(_SEED), monotonic() + SECONDS)  # noqa: S311 (drawn from a seed)
    works = {
        "append": course.append,
        "deliver": course.deliver,
        "release": course.release,
        "requeue": course.requeue,
        "forget": course.forget,
        "sweep": course.sweep,
    }
    await asyncio.gather(
        *(
            course.again_and_again(name, partial(work, node))
            for name, work in works.items()
            for node in nodes
        ),
        course.again_and_again("empty", partial(course.empty, connections)),
    )
    await connections.close()
    assert course.refused == {}, course.done
    assert all(course.done[name] for name in (*works, "empty")), course.done
    assert set(course.delivered.values()) <= {0, 1}
    for what, query in _NOTHING.items():
        ((count,),) = await rows_of(url, query)
        assert count == 0, (what, course.done)
    rows = await rows_of(url, "SELECT message_id FROM events")
    gone = course.acknowledged.keys() - {row["message_id"] for row in rows}
    lost = [
        name
        for name in gone
        if not course.ended[name] and course.acknowledged[name] not in course.forgotten
    ]
    assert lost == []
    known = await nodes[0].known([("default", name) for name in course.acknowledged])
    assert None not in known
