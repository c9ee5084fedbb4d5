"""What several nodes over one database do to each other: nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import RequestRecord, Settlement
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.days import day_of, first_id
from conversion_relay.service.store.postgres.ledger import LEDGER_LOCK
from conversion_relay.service.store.postgres.store import PostgresStore
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, delivery, event, retried
from support.postgres import connected, new_database, open_transaction, rows_of

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def url() -> str:
    return await asyncio.to_thread(new_database)


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    address = Address(url, weak_durability=True)
    one = await open_store(address, Sealer([KEY]), "one")
    other = await open_store(address, Sealer([KEY]), "other")
    yield one, other
    await one.close()
    await other.close()


async def test_an_event_on_both_at_once_is_kept_once(
    nodes: tuple[PostgresStore, PostgresStore],
) -> None:
    names = [f"m{number}" for number in range(40)]
    forth = [node.append([event(name)]) for name in names for node in nodes]
    back = [node.append([event(name) for name in reversed(names)]) for node in nodes]
    receipts = await asyncio.gather(*forth, *back)
    assert sum(receipt.accepted for receipt in receipts) == len(names)
    assert len(await nodes[0].deliveries(names)) == len(names)
    assert (await nodes[1].totals()).deliveries == {("tiktok", State.PENDING): len(names)}


async def test_neighbours_of_a_copy_are_kept(
    nodes: tuple[PostgresStore, PostgresStore],
) -> None:
    batches = [[event(f"{node}-{n}") for n in range(5)] + [event("both")] for node in range(2)]
    receipts = await asyncio.gather(
        *(node.append(batch) for node, batch in zip(nodes, batches, strict=True))
    )
    assert sorted(receipt.accepted for receipt in receipts) == [5, 6]


async def test_a_key_that_another_node_put_into_the_next_slot_is_known(
    nodes: tuple[PostgresStore, PostgresStore], url: str
) -> None:
    """The ledger moves on between the look and the insert."""
    await rows_of(url, "CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES IN (1)", "SELECT 1")
    await nodes[0].append([event("first")])
    async with connected(url) as mover, asyncio.timeout(10):
        moving = mover.transaction()
        await moving.start()
        await mover.execute("SELECT pg_advisory_xact_lock($1)", LEDGER_LOCK)
        appending = asyncio.ensure_future(nodes[0].append([event("a")]))
        waiting = "SELECT 1 FROM pg_locks WHERE NOT granted"
        while not await rows_of(url, waiting):  # noqa: ASYNC110 (in another process)
            await asyncio.sleep(0.01)
        await mover.execute("UPDATE ledger_slots SET left_at = 1 WHERE slot = 0")
        await mover.execute("INSERT INTO ledger_slots (slot) VALUES (1)")
        await mover.execute("INSERT INTO ledger VALUES ('a', 'default', 1, 0, 0)")
        await moving.commit()
        assert (await appending).fresh == (False,)
    assert (await nodes[0].append([event("first"), event("b")])).fresh == (False, True)


async def test_ids_are_of_their_day_and_nobody_has_them_twice(
    nodes: tuple[PostgresStore, PostgresStore], url: str
) -> None:
    days = [NOW, NOW + DAY, NOW - 3 * DAY]
    events = [
        event(f"{number}-{days.index(day)}", received_at=day)
        for number in range(30)
        for day in days
    ]
    await asyncio.gather(nodes[0].append(events[::2]), nodes[1].append(events[1::2]))
    rows = await rows_of(url, "SELECT id, event, accepted_at FROM deliveries")
    assert len({row["id"] for row in rows}) == len({row["event"] for row in rows}) == 90
    for day in days:
        first, end = first_id(day_of(day)), first_id(day_of(day) + 1)
        assert sum(first <= row["id"] < end for row in rows) == 30
        assert sum(first <= row["event"] < end for row in rows) == 30


async def test_claims_never_overlap(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    await nodes[0].append([event(f"m{number}") for number in range(200)])
    claims = await asyncio.gather(
        *(node.claim("tiktok", 25, LEASE, NOW) for _ in range(6) for node in nodes)
    )
    often = Counter(claim.id for part in claims for claim in part)
    assert len(often) == 200
    assert set(often.values()) == {1}


async def test_one_probe_at_a_time(nodes: tuple[PostgresStore, PostgresStore]) -> None:
    await nodes[0].append([event("a"), event("b"), event("c")])
    probes = await asyncio.gather(
        *(node.claim_probe("tiktok", LEASE, NOW) for _ in range(2) for node in nodes)
    )
    claimed = [claim.id for part in probes for claim in part]
    assert len(claimed) == len(set(claimed)) == 3


async def test_a_lease_that_ran_out_is_taken_over(
    nodes: tuple[PostgresStore, PostgresStore],
) -> None:
    dead, alive = nodes
    await dead.append([event("a")])
    (lost,) = await dead.claim("tiktok", 10, LEASE, NOW)
    assert await alive.claim("tiktok", 10, LEASE, NOW + LEASE - SECOND) == ()
    (taken,) = await alive.claim("tiktok", 10, LEASE, NOW + LEASE)
    assert (taken.id, taken.attempts, taken.first_unknown_at) == (lost.id, 2, NOW)
    assert await dead.settle([delivered(lost)], NOW + LEASE) == 0
    assert (await dead.deliveries(["a"]))[0].state is State.CLAIMED
    assert await alive.settle([delivered(taken)], NOW + LEASE) == 1
    assert await dead.settle([retried(lost, NOW)], NOW + LEASE) == 0
    assert (await dead.deliveries(["a"]))[0].state is State.DELIVERED


async def test_what_one_settles_the_other_finds_due(
    nodes: tuple[PostgresStore, PostgresStore],
) -> None:
    one, other = nodes
    await one.append([event("a"), event("b")])
    first, second = await one.claim("tiktok", 10, LEASE, NOW)
    later = NOW + 2 * SECOND
    held = Transition(State.HELD, Cause.CREDENTIALS, reason="no")
    await one.settle([retried(first, later), Settlement(second.id, second.fence, held)], NOW)
    assert await other.next_due("tiktok") == later
    assert await other.release("tiktok", NOW) == 1
    assert {claim.message_id for claim in await one.claim("tiktok", 9, LEASE, later)} == {"a", "b"}


async def test_days_are_made_while_others_read_and_write(url: str) -> None:
    """Making one in place would wait for them, and keep everybody else waiting."""
    store = await open_store(Address(url, weak_durability=True), Sealer([KEY]))
    await store.append([event("a")])
    late = event("b", received_at=NOW + DAY)
    reading = "SELECT count(*) FROM events, deliveries, bodies, originals, attempts"
    writing = f"INSERT INTO bodies VALUES ({first_id(day_of(NOW)) + 2**35}, '')"  # noqa: S608
    async with open_transaction(url, reading, writing), asyncio.timeout(3):
        assert (await store.append([late])).accepted == 1
    await store.close()


async def test_a_day_that_was_dropped_is_made_again(
    nodes: tuple[PostgresStore, PostgresStore], url: str
) -> None:
    await nodes[0].append([event("a")])
    tables = ("events", "originals", "event_subjects", "deliveries", "bodies", "attempts")
    day = day_of(NOW)
    dropped = ", ".join(f"{table}_{day}" for table in tables)
    await rows_of(url, f"DROP TABLE {dropped}", f"DELETE FROM days WHERE day = {day}")  # noqa: S608
    assert (await nodes[0].append([event("b")])).accepted == 1


async def test_undecided_ones_are_linked_and_former_requests_kept(
    nodes: tuple[PostgresStore, PostgresStore], url: str
) -> None:
    one, _ = nodes
    await one.append([event("a"), event("b")])
    first, second = await one.claim("tiktok", 10, LEASE, NOW)

    def request(moment: datetime, *undecided: int) -> RequestRecord:
        return RequestRecord("tiktok", moment, 0.5, 2, "accepted", 200, undecided=undecided)

    await one.settle([retried(first, NOW)], NOW, request(NOW, second.id))
    await one.settle([delivered(second)], NOW, request(NOW + SECOND))
    (again,) = await one.claim("tiktok", 10, LEASE, NOW)
    await one.settle([delivered(again)], NOW, request(NOW + 2 * SECOND))
    rows = await rows_of(
        url,
        "SELECT d.id, last.sent_at - $1 AS last, former.sent_at - $1 AS former FROM deliveries d "
        "JOIN requests last ON last.id = d.request JOIN attempts ON attempts.delivery = d.id "
        "JOIN requests former ON former.id = attempts.request ORDER BY d.id".replace(
            "$1", str(round(NOW.timestamp() * 1_000_000))
        ),
    )
    found = {row["id"]: (row["former"], row["last"]) for row in rows}
    assert found == {first.id: (0, 2_000_000), second.id: (0, 1_000_000)}


async def test_a_body_goes_once_it_was_delivered(
    nodes: tuple[PostgresStore, PostgresStore], url: str
) -> None:
    await nodes[0].append([event("a"), event("b", delivery("b", body=b"kept"))])
    first, second = await nodes[0].claim("tiktok", 10, LEASE, NOW)
    await nodes[0].settle([delivered(first), retried(second, NOW)], NOW)
    rows = await rows_of(url, "SELECT delivery FROM bodies")
    assert [row["delivery"] for row in rows] == [second.id]


async def test_a_body_that_cannot_be_opened_ends_alone(
    nodes: tuple[PostgresStore, PostgresStore], url: str
) -> None:
    names = [f"m{number}" for number in range(50)]
    await nodes[0].append([event(name) for name in names])
    await rows_of(url, "DELETE FROM bodies WHERE delivery = (SELECT min(delivery) FROM bodies)")
    await rows_of(
        url,
        "UPDATE bodies SET sealed = sealed || 'x' WHERE delivery = "
        "(SELECT min(delivery) FROM bodies)",
    )
    await rows_of(url, "UPDATE deliveries SET accepted_at = 1 - 2^62 WHERE event = "
                  "(SELECT max(event) FROM deliveries)")  # fmt: skip
    claims = await nodes[0].claim("tiktok", 100, LEASE, NOW)
    assert [claim.message_id for claim in claims] == names[2:-1]
    records = await nodes[1].deliveries(names)
    dead = {record.message_id: record.reason for record in records if record.state is State.DEAD}
    assert dead == {
        "m0": "the stored body cannot be opened",
        "m1": "the stored body cannot be opened",
        "m49": "the stored row cannot be read",
    }


@pytest.mark.parametrize("odd", ["a\x00b\x1b0\x1bE\x1b", "\x1b0", "\x1bE", "\x1b"])
async def test_texts_with_nul_come_back_as_they_were(
    nodes: tuple[PostgresStore, PostgresStore], odd: str
) -> None:
    planned = replace(delivery(odd), mapping=odd, event_name=odd, event_id=odd)
    kept = replace(event(odd, planned, source=odd), reason=odd)
    assert (await nodes[0].append([kept])).accepted == 1
    assert (await nodes[1].append([kept])).duplicates == 1
    (claim,) = await nodes[1].claim("tiktok", 10, LEASE, NOW)
    found = (claim.message_id, claim.source, claim.mapping, claim.event_name, claim.event_id)
    assert found == (odd,) * 5
    dead = Transition(State.DEAD, Cause.REFUSED, reason=odd)
    await nodes[1].settle([Settlement(claim.id, claim.fence, dead)], NOW)
    (record,) = await nodes[0].deliveries([odd])
    assert (record.reason, record.mapping, record.message_id) == (odd, odd, odd)
