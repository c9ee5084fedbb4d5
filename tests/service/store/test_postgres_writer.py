"""Group commit over PostgreSQL: what waits, what goes together, and whose fault a failure is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from conversion_relay.errors import StoreBusy, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import Receipt
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.store import PostgresStore
from conversion_relay.service.store.postgres.writer import Limits
from service.store.conftest import KEY
from service.store.examples import delivery, event
from support.postgres import new_database, rows_of

LIMITS = Limits(waiting_events=10, waiting_bytes=1000, transaction_events=4)
UNKEEPABLE = "\ud800"
"""Half of a character, which no database takes."""


@pytest.fixture
async def url() -> str:
    return await asyncio.to_thread(new_database)


@pytest.fixture
def commits() -> list[float]:
    return []


@pytest.fixture
async def store(url: str, commits: list[float]) -> AsyncIterator[PostgresStore]:
    address = Address(url, weak_durability=True)
    store = await open_store(address, Sealer([KEY]), "node", LIMITS, commits.append)
    yield store
    await store.close()


async def test_what_waits_goes_together(store: PostgresStore, commits: list[float]) -> None:
    appends = [asyncio.ensure_future(store.append([event(f"m{n}")])) for n in range(10)]
    await asyncio.sleep(0)
    assert store.load.waiting_events == 10
    await asyncio.gather(*appends)
    assert 3 <= store.load.commits <= 5
    assert len(commits) == store.load.commits
    assert min(commits) > 0
    assert (store.load.waiting_events, store.load.waiting_bytes) == (0, 0)


async def test_large_events_do_not_all_go_together(url: str) -> None:
    """They have to be there in time, over a slow network as well."""
    limits = replace(LIMITS, transaction_events=100, transaction_bytes=40)
    store = await open_store(Address(url, weak_durability=True), Sealer([KEY]), "node", limits)
    events = [event(f"m{number}", original=b"x" * 20) for number in range(8)]
    await asyncio.gather(*(store.append([one]) for one in events))
    assert store.load.commits == 4
    await store.close()


async def test_what_is_known_already_is_no_commit(store: PostgresStore) -> None:
    await store.append([event("a")])
    await store.append([event("a")])
    assert store.load.commits == 1


async def test_beyond_its_limits_nothing_is_let_in(store: PostgresStore) -> None:
    small, large = [event("a")], [event("b", original=b"x" * 1001)]
    assert store.has_room(11, 1001), "alone it may be as large as it likes"
    waiting = [asyncio.ensure_future(store.append([event(f"m{n}")])) for n in range(10)]
    await asyncio.sleep(0)
    assert not store.has_room(1, 0)
    with pytest.raises(StoreBusy, match="10 events wait"):
        await store.append(small)
    await asyncio.gather(*waiting)
    assert (await store.append(large)).accepted == 1
    first = asyncio.ensure_future(store.append(small))
    await asyncio.sleep(0)
    assert not store.has_room(1, 1000)
    await first


async def test_more_than_a_block_of_ids_in_one_call(store: PostgresStore) -> None:
    many = [event(f"m{n}", delivery(f"m{n}"), delivery(f"m{n}", "other")) for n in range(5_100)]
    assert (await store.append(many)).accepted == 5_100
    totals = await store.totals()
    assert sum(totals.deliveries.values()) == 10_200


async def test_a_fault_of_one_does_not_fail_its_neighbours(store: PostgresStore) -> None:
    fault = event("fault", replace(delivery("fault"), mapping=UNKEEPABLE))
    batches = [[event("a")], [event("b"), fault], [event("c")]]
    first = asyncio.ensure_future(store.append([event("first"), event("second")]))
    appends = [asyncio.ensure_future(store.append(batch)) for batch in batches]
    await first
    one, failed, other = await asyncio.gather(*appends, return_exceptions=True)
    assert (one, other) == (Receipt((True,)), Receipt((True,)))
    assert isinstance(failed, StoreUnavailable)
    assert UNKEEPABLE not in str(failed)
    assert await store.deliveries(["b"]) == ()
    assert store.trouble() is None, "the database is well"


async def test_what_the_database_refuses_fails_alone(store: PostgresStore, url: str) -> None:
    await rows_of(
        url,
        "ALTER TABLE deliveries ADD CONSTRAINT odd CHECK (mapping <> 'odd')",
        "SELECT 1",
    )
    odd = event("odd", replace(delivery("odd"), mapping="odd"))
    first = asyncio.ensure_future(store.append([event("first")]))
    appends = [asyncio.ensure_future(store.append([one])) for one in (event("a"), odd, event("b"))]
    await first
    results = await asyncio.gather(*appends, return_exceptions=True)
    kinds = [type(result) for result in results]
    assert kinds == [Receipt, StoreUnavailable, Receipt]


async def test_who_is_gone_stops_nobody(store: PostgresStore) -> None:
    appends = [asyncio.ensure_future(store.append([event(f"m{n}")])) for n in range(9)]
    await asyncio.sleep(0)
    gone = appends[4]
    gone.cancel()
    results = await asyncio.gather(*appends, return_exceptions=True)
    assert isinstance(results.pop(4), asyncio.CancelledError)
    assert results == [Receipt((True,))] * 8
    assert await store.deliveries(["m4"]) == (), "nobody wanted it any more"
    assert store.load.waiting_events == 0


async def test_a_large_batch_is_sealed_elsewhere_and_found_whole(store: PostgresStore) -> None:
    names = [f"m{number}" for number in range(300)]
    await store.append([event(name, original=name.encode()) for name in names])
    rows = await store.deliveries(names)
    assert [row.message_id for row in rows] == names
