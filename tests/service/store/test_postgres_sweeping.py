"""What is particular to sweeping PostgreSQL: whole days, several nodes, counts, the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import asyncpg
import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import SealedOriginals, open_originals
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    NewEvent,
    Retention,
    Settlement,
    Swept,
)
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.days import PARTITIONED, day_of, partition
from conversion_relay.service.store.postgres.ledger import LEDGER_LOCK
from conversion_relay.service.store.postgres.locks import SWEEP_LOCK
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.slots import Slot, outlived
from conversion_relay.service.store.postgres.store import PostgresStore
from conversion_relay.service.store.postgres.whole_days import remove_days
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, delivery, event, retried
from support.postgres import new_database

DAY = timedelta(days=1)
KEPT = Retention()
TODAY = day_of(NOW)
TABLES = [partition(table, TODAY) for table in PARTITIONED]
DEAD = Transition(State.DEAD, Cause.REFUSED, None, "no")


@pytest.fixture
async def url() -> str:
    """Of a database of this test."""
    return await asyncio.to_thread(new_database)


@pytest.fixture
async def raw(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection past the store."""
    connection = await asyncpg.connect(url)
    yield connection
    connection.terminate()


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[Sequence[PostgresStore]]:
    """Two of them."""
    address = Address(url, weak_durability=True)
    stores = [await open_store(address, Sealer([KEY]), name) for name in ("one", "two")]
    yield stores
    for store in stores:
        await store.close()


@pytest.fixture
def store(nodes: Sequence[PostgresStore]) -> PostgresStore:
    """One of them."""
    return nodes[0]


async def swept(store: PostgresStore, days: float) -> Swept:
    now = NOW + days * DAY
    done = await store.sweep(KEPT, now)
    while not done.is_done:
        done = done.then(await store.sweep(KEPT, now))
    return done


def unmatched(message_id: str) -> NewEvent:
    return replace(event(message_id), disposition=Disposition.UNMATCHED, deliveries=())


async def deliver_all_but(store: PostgresStore, *kept: str) -> None:
    while claims := await store.claim("tiktok", 1_000, LEASE, NOW):
        done = [delivered(one) for one in claims if one.message_id not in kept]
        back = [retried(one, NOW + DAY) for one in claims if one.message_id in kept]
        await store.settle([*done, *back], NOW)


async def tables(raw: asyncpg.Connection[asyncpg.Record]) -> int:
    """How many partitions of the day there are."""
    query = "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname = ANY($1::text[])"
    found: int = await raw.fetchval(query, TABLES)
    return found


async def originals(raw: asyncpg.Connection[asyncpg.Record]) -> list[bytes]:
    """The bytes of events that can still be opened."""
    query = "SELECT first_event, last_event, sealed FROM originals ORDER BY 1"
    chunks = [SealedOriginals(*row) for row in await raw.fetch(query)]
    return [one.content for chunk in chunks for one in open_originals(chunk, Sealer([KEY]))]


async def somebody_waits(raw: asyncpg.Connection[asyncpg.Record]) -> None:
    """Comes back once somebody waits for a lock that another one has."""
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(20):
        while not await raw.fetchval(query):
            pass


async def files(raw: asyncpg.Connection[asyncpg.Record]) -> set[int]:
    """In which the rows of the day stand."""
    query = "SELECT relfilenode FROM pg_class WHERE relname = ANY($1::text[])"
    return {number for (number,) in await raw.fetch(query, TABLES)}


# Whole days


async def test_a_day_that_is_outlived_is_gone_as_a_whole(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event(f"m{number}") for number in range(700)])
    await store.append([unmatched("other")])
    await deliver_all_but(store)
    assert await tables(raw) == 6
    step = Swept(is_done=False)
    while not step.events:
        step = await store.sweep(KEPT, NOW + 8 * DAY)
    assert step.events == 701, "in one step"
    assert step.freed_bytes > 0
    assert await tables(raw) == 0
    assert await raw.fetchval("SELECT count(*) FROM days WHERE day = $1", TODAY) == 0
    totals = await store.totals()
    assert (totals.events, totals.deliveries) == ({}, {})
    assert (await store.append([event("m1")])).accepted == 0
    assert (await store.append([event("late")])).accepted == 1, "its day is made again"


async def test_a_day_with_one_pending_delivery_stays_and_the_delivery_arrives(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event(f"m{number}") for number in range(30)])
    await deliver_all_but(store, "m7")
    assert (await swept(store, 9)).events == 29
    assert await tables(raw) == 6
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW + 9 * DAY)
    assert (claim.message_id, claim.body) == ("m7", delivery("m7").body)
    await store.settle([delivered(claim)], NOW + 9 * DAY)
    assert (await swept(store, 9)).events == 1
    assert await tables(raw) == 0


async def test_what_waits_keeps_its_day_beside_an_old_dead_letter(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event("a"), event("b")])
    dead, other = await store.claim("tiktok", 10, LEASE, NOW)
    await store.settle([Settlement(dead.id, dead.fence, DEAD), retried(other, NOW)], NOW)
    assert (await swept(store, 40)).events == 1
    assert await tables(raw) == 6
    assert len(await store.claim("tiktok", 10, LEASE, NOW + 40 * DAY)) == 1


async def test_an_event_that_is_sent_again_while_it_goes_stays(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    """Whoever sends it again holds it, and was faster."""
    await store.append([event("a")])
    await deliver_all_but(store)
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute("SELECT id FROM events FOR NO KEY UPDATE")
    sweeping = asyncio.create_task(swept(store, 7))
    await somebody_waits(raw)
    await raw.execute("UPDATE deliveries SET state = 'pending', due_at = 1, settled_at = NULL")
    await transaction.commit()
    assert (await sweeping).events == 0
    assert (await store.totals()).deliveries == {("tiktok", State.PENDING): 1}


async def test_the_bytes_of_a_removed_event_do_not_outlive_it(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    names = [f"m{number}" for number in range(300)]
    events = [event(name, original=f"of {name}".encode()) for name in names]
    await store.append([replace(one, subjects=("ann",)) for one in events])
    await deliver_all_but(store, "m7", "m130")
    assert (await swept(store, 7)).events == 298
    assert await originals(raw) == [b"of m7", b"of m130"]
    assert await raw.fetchval("SELECT count(*) FROM event_subjects") == 2
    assert not await raw.fetchval("SELECT bool_or(thin) FROM originals")


async def test_a_dead_letter_keeps_its_day_for_thirty_days(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([event("a"), event("b")])
    dead, other = await store.claim("tiktok", 10, LEASE, NOW)
    await store.settle([Settlement(dead.id, dead.fence, DEAD), delivered(other)], NOW)
    assert (await swept(store, 29)).events == 1
    assert await tables(raw) == 6
    assert (await swept(store, 31)).events == 1
    assert await tables(raw) == 0


async def test_a_day_of_which_little_stays_is_emptied_at_once(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    names = [f"m{number}" for number in range(700)]
    await store.append([event(name, original=f"of {name}".encode()) for name in names])
    await deliver_all_but(store, "m7", "m300")
    before = await files(raw)
    async with raw.transaction():
        done = await remove_days(raw, KEPT, NOW + 8 * DAY, many_events=600)  # type: ignore[arg-type]
    assert (done.events, done.is_done) == (698, False)
    assert (await swept(store, 8)).events == 0
    assert not before & await files(raw), "nothing was deleted one by one"
    assert await originals(raw) == [b"of m7", b"of m300"]
    assert (await store.totals()).events == {Disposition.PLANNED: 2}
    assert (await store.totals()).deliveries == {("tiktok", State.PENDING): 2}
    claims = await store.claim("tiktok", 10, LEASE, NOW + 8 * DAY)
    assert {one.message_id: one.body for one in claims} == {
        name: delivery(name).body for name in ("m7", "m300")
    }


@pytest.mark.parametrize("lock", ["ACCESS SHARE", "SHARE UPDATE EXCLUSIVE"])
async def test_a_day_that_somebody_uses_is_dropped_later(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore, lock: str
) -> None:
    """Such as a dump, and a vacuum."""
    await store.append([event("a"), event("b")])
    await deliver_all_but(store)
    transaction = raw.transaction()
    await transaction.start()
    await raw.execute(f"LOCK TABLE {TABLES[0]} IN {lock} MODE")
    await swept(store, 8)
    assert await tables(raw) == 6
    await transaction.rollback()
    await swept(store, 8)
    assert await tables(raw) == 0


async def test_nobody_fails_while_days_are_dropped(nodes: Sequence[PostgresStore]) -> None:
    """Events of the very days that go are kept meanwhile: a day is made again when needed."""
    keeping, sweeping = nodes
    kept = 0

    async def work() -> None:
        nonlocal kept
        for number in range(40):
            days = number % 4
            names = [f"{number}-{position}" for position in range(5)]
            received_at = NOW + days * DAY
            receipt = await keeping.append([event(n, received_at=received_at) for n in names])
            kept += receipt.accepted
            claims = await keeping.claim("tiktok", 100, LEASE, NOW + 4 * DAY)
            await keeping.settle([delivered(one) for one in claims], NOW + 4 * DAY)

    working = asyncio.create_task(work())
    removed = 0
    while not working.done():
        removed += (await sweeping.sweep(KEPT, NOW + 20 * DAY)).events
    await working
    removed += (await swept(sweeping, 20)).events
    assert removed == kept == 200
    totals = await keeping.totals()
    assert (totals.events, totals.deliveries) == ({}, {})


# Several nodes


async def test_two_nodes_that_sweep_at_once_do_the_work_once(
    nodes: Sequence[PostgresStore],
) -> None:
    await nodes[0].append([unmatched(f"m{number}") for number in range(1_700)])
    done = await asyncio.gather(*(swept(node, 1) for node in nodes))
    assert sum(one.events for one in done) == 1_700
    assert (await nodes[1].totals()).events == {}


async def test_a_node_leaves_the_work_to_the_one_that_is_at_it(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([unmatched("a")])
    await raw.fetchval("SELECT pg_advisory_lock($1)", SWEEP_LOCK)
    assert await store.sweep(KEPT, NOW + DAY) == Swept()
    await raw.fetchval("SELECT pg_advisory_unlock($1)", SWEEP_LOCK)
    assert (await swept(store, 1)).events == 1


async def test_the_clock_of_another_node_makes_nothing_due(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    """The other one's is an hour ahead: what it claimed lies ahead of ours, and is on its way."""
    for name, ahead in (("one", 0.0), ("two", 3_600.0)):
        await raw.execute(
            "INSERT INTO nodes VALUES ($1, 'all', '1', '', now(), now(), $2, NULL, '{}')",
            name, ahead,
        )  # fmt: skip
    await store.append([event("a")])
    await store.claim("tiktok", 1, LEASE, NOW + timedelta(hours=1))
    await swept(store, 0)
    assert await store.next_due("tiktok") == NOW + timedelta(hours=1) + LEASE
    await raw.execute("UPDATE nodes SET seen_at = now() - interval '1 hour' WHERE node = 'two'")
    await swept(store, 0)
    assert await store.next_due("tiktok") == NOW + timedelta(minutes=5)


# The ledger


def test_a_slot_left_by_a_clock_that_was_ahead_goes_with_the_next() -> None:
    slots = [Slot(3, 1, 1_000), Slot(4, 2, 20), Slot(5, 20, None)]
    assert outlived(slots, 19) is None
    assert outlived(slots, 20) == slots[0]
    assert outlived(slots[1:], 20) == slots[1]
    assert outlived(slots[2:], 2_000) is None


async def test_a_key_is_unique_while_the_slot_changes(
    raw: asyncpg.Connection[asyncpg.Record], nodes: Sequence[PostgresStore]
) -> None:
    """Both nodes are given the same events at the same time, while the ledger moves on."""
    await swept(nodes[0], 0)
    accepted = 0
    for turn in range(1, 7):
        moving = asyncio.create_task(swept(nodes[0], turn * 7))
        for number in range(6):
            names = [f"{turn}-{number}-{position}" for position in range(4)]
            events = [unmatched(name) for name in names]
            receipts = await asyncio.gather(*(node.append(events) for node in nodes))
            accepted += sum(receipt.accepted for receipt in receipts)
        await moving
    assert accepted == 6 * 6 * 4
    assert await raw.fetchval("SELECT max(slot) FROM ledger_slots") >= 5


async def test_the_ledger_moves_on_when_nobody_keeps_events(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    """A key that is not committed yet would be looked for in vain."""
    query = "SELECT max(slot) FROM ledger_slots"
    await swept(store, 0)
    async with raw.transaction():
        await raw.execute(QUERIES["lock_ledger_shared"], LEDGER_LOCK)
        await swept(store, 7)
        assert await raw.fetchval(query) == 0
    await swept(store, 7)
    assert await raw.fetchval(query) == 1


async def test_a_slot_that_is_too_old_is_dropped(
    raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([unmatched("a")])
    found = [(await swept(store, days)).ledger_entries for days in (0, 7, 14, 20.9, 21, 22)]
    assert found == [0, 0, 0, 0, 1, 0]
    assert await raw.fetchval("SELECT to_regclass('ledger_0')") is None
    assert (await store.append([unmatched("a")])).accepted == 1


# Counts


async def counted(raw: asyncpg.Connection[asyncpg.Record]) -> tuple[bool, bool]:
    """Whether the kept counts say what there is."""
    events = await raw.fetchval(
        "SELECT NOT EXISTS (SELECT day, disposition, sum(change) FROM event_counts GROUP BY 1, 2 "
        "HAVING sum(change) <> 0 "
        "EXCEPT SELECT id >> 36, disposition, count(*) FROM events GROUP BY 1, 2) "
        "AND (SELECT coalesce(sum(change), 0) FROM event_counts) = (SELECT count(*) FROM events)"
    )
    deliveries = await raw.fetchval(
        "SELECT NOT EXISTS (SELECT day, envelope, state, sum(change) FROM delivery_counts "
        "GROUP BY 1, 2, 3 HAVING sum(change) <> 0 "
        "EXCEPT SELECT id >> 36, envelope, state, count(*) FROM deliveries GROUP BY 1, 2, 3) "
        "AND (SELECT coalesce(sum(change), 0) FROM delivery_counts) = "
        "(SELECT count(*) FROM deliveries)"
    )
    return events, deliveries


async def some_work(
    store: PostgresStore, dice: Random, claims: list[ClaimedDelivery], turn: int
) -> None:
    now = NOW + turn * DAY / 12
    match dice.choice(["append", "append", "claim", "settle", "settle", "release", "sweep"]):
        case "append":
            names = [f"{turn}-{number}" for number in range(dice.randint(1, 40))]
            events = [event(n, delivery(n, envelope=f"e{dice.randint(1, 3)}")) for n in names]
            others = [unmatched(f"other {turn}-{number}") for number in range(dice.randint(0, 9))]
            await store.append([replace(one, received_at=now) for one in [*events, *others]])
        case "claim":
            claims += await store.claim("tiktok", dice.randint(1, 60), LEASE, now)
        case "settle":
            ends = [DEAD, Transition(State.DELIVERED, Cause.ACCEPTED),
                    Transition(State.HELD, Cause.CREDENTIALS, None, "token"),
                    Transition(State.PENDING, Cause.DEFERRED, now, "busy")]  # fmt: skip
            given = [Settlement(one.id, one.fence, dice.choice(ends)) for one in claims]
            await store.settle(given, now)
            claims.clear()
        case "release":
            await store.release("tiktok", now)
        case _:
            await store.sweep(KEPT, now)


@pytest.mark.parametrize("seed", range(2))
async def test_counts_are_those_of_the_rows_whatever_happened(
    raw: asyncpg.Connection[asyncpg.Record], nodes: Sequence[PostgresStore], seed: int
) -> None:
    dice = Random(seed)  # noqa: S311 - no secret
    claims: list[ClaimedDelivery] = []
    for turn in range(130):  # eleven days, some thousand rows
        await some_work(nodes[turn % 2], dice, claims, turn)
        if turn % 20 == 0:
            assert await counted(raw) == (True, True)
    await swept(nodes[0], 12)
    assert await counted(raw) == (True, True)
    await swept(nodes[0], 12.1)
    await swept(nodes[0], 12.2)
    query = "SELECT count(*) = count(DISTINCT (day, envelope, state)) FROM delivery_counts"
    assert await raw.fetchval(query), "added up"
    assert await counted(raw) == (True, True)


async def test_whoever_adds_up_counts_while_they_are_folded_sees_all_of_them(
    url: str, raw: asyncpg.Connection[asyncpg.Record], store: PostgresStore
) -> None:
    await store.append([unmatched(f"m{number}") for number in range(50)])
    reading = await asyncpg.connect(url)
    query = "SELECT sum(change)::bigint FROM event_counts"
    seen: list[int] = []
    has_ended = False

    async def read() -> None:
        while not has_ended:
            seen.append(await reading.fetchval(query))

    task = asyncio.create_task(read())
    for turn in range(12):
        await raw.execute("INSERT INTO event_counts VALUES (1, 'planned', 5), (1, 'planned', -5)")
        await store.sweep(KEPT, NOW + turn * timedelta(seconds=20))
    has_ended = True
    await task
    reading.terminate()
    assert set(seen) == {50}
    assert len(seen) > 12
    assert await raw.fetchval("SELECT count(*) FROM event_counts") == 1
