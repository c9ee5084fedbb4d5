"""The connection breaks after the server has committed, and before it has said so."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from conversion_relay.core.delivery import State
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import RequestRecord
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.store import PostgresStore
from conversion_relay.service.store.times import to_microseconds
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event, retried
from support.postgres import new_database, rows_of
from support.proxy import Proxy, proxied

REQUEST = RequestRecord("tiktok", NOW, 0.5, 2, "accepted", 200, request_id="one")


@pytest.fixture
async def url() -> str:
    return await asyncio.to_thread(new_database)


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    port = int(url.rpartition("/")[0].rpartition(":")[2])
    async with proxied(port) as passing:
        yield passing


@pytest.fixture
async def store(url: str, proxy: Proxy) -> AsyncIterator[PostgresStore]:
    base, _, database = url.rpartition("/")
    by_proxy = f"{base.rpartition(':')[0]}:{proxy.port}/{database}"
    opened = await open_store(Address(by_proxy, weak_durability=True), Sealer([KEY]))
    await opened.append([event("first")])
    (first,) = await opened.claim("tiktok", 1, LEASE, NOW)
    await opened.settle([delivered(first)], NOW)
    yield opened
    await opened.close()


async def test_an_append_done_again_is_known(store: PostgresStore, proxy: Proxy) -> None:
    proxy.unanswered = b"COMMIT"
    with pytest.raises(StoreUnavailable):
        await store.append([event("a"), event("b")])
    assert proxy.unanswered is None
    assert (await store.append([event("a"), event("b"), event("c")])).fresh == (False, False, True)
    assert len(await store.claim("tiktok", 10, LEASE, NOW)) == 3


async def test_a_claim_ends_with_its_lease_and_counts_as_sent(
    store: PostgresStore, proxy: Proxy
) -> None:
    await store.append([event("a")])
    proxy.unanswered = struct.pack(">q", to_microseconds(NOW + LEASE))
    with pytest.raises(StoreUnavailable):
        await store.claim("tiktok", 10, LEASE, NOW)
    assert proxy.unanswered is None
    assert await store.claim("tiktok", 10, LEASE, NOW) == ()
    assert await store.next_due("tiktok") == NOW + LEASE
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW + LEASE)
    assert (claim.attempts, claim.first_unknown_at) == (2, NOW)


async def test_a_settlement_done_again_changes_nothing(
    store: PostgresStore, proxy: Proxy, url: str
) -> None:
    await store.append([event("a"), event("b")])
    first, second = await store.claim("tiktok", 10, LEASE, NOW)
    ends = [delivered(first), retried(second, NOW + LEASE)]
    proxy.unanswered = b"delivered"
    with pytest.raises(StoreUnavailable):
        await store.settle(ends, NOW, REQUEST)
    assert proxy.unanswered is None
    assert await store.settle(ends, NOW, REQUEST) == 0
    records = await store.deliveries(["a", "b"])
    assert [one.state for one in records] == [State.DELIVERED, State.PENDING]
    rows = await rows_of(url, "SELECT id FROM requests")
    assert len(rows) == 1, "the request is kept once"
    assert await rows_of(url, "SELECT 1 FROM attempts") == []
    (count,) = await rows_of(url, "SELECT count(DISTINCT request) FROM deliveries")
    assert count[0] == 1
