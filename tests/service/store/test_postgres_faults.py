"""What a store does while its database is away, and that it comes back by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from time import monotonic

import pytest

from conversion_relay.demo.postgres import Server
from conversion_relay.errors import StoreError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.connections import (
    COMMAND_SECONDS,
    Connection,
    Connections,
)
from conversion_relay.service.store.postgres.pools import HOT, open_pool
from conversion_relay.service.store.postgres.store import PostgresStore
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event, retried
from support.postgres import fresh_database, new_database, rows_of, server
from support.proxy import Proxy, proxied

CONNECTIONS = 3
BACK_SECONDS = 10.0
_ROUNDS = 40


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server that may be stopped."""
    with server(durable=True) as running:
        yield running


@pytest.fixture
async def proxy(own: Server) -> AsyncIterator[Proxy]:
    async with proxied(own.port) as passing:
        yield passing


@pytest.fixture
async def url(own: Server, proxy: Proxy) -> str:
    """Of a new database, by way of the proxy."""
    direct = await asyncio.to_thread(fresh_database, own)
    return direct.replace(f":{own.port}/", f":{proxy.port}/")


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    store = await open_store(Address(url, connections=CONNECTIONS), Sealer([KEY]))
    yield store
    await store.close()


async def works_again(store: PostgresStore, name: str) -> float:
    """After how many seconds an event is kept and claimed."""
    began_at = monotonic()
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            with suppress(StoreError):
                await store.append([event(name)])
                (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
                await store.settle([delivered(claim)], NOW)
                break
            await asyncio.sleep(0.05)
    assert store.trouble() is None
    return monotonic() - began_at


async def every_method_fails(store: PostgresStore) -> None:
    calls: list[Awaitable[object]] = [
        store.append([event("lost")]),
        store.claim("tiktok", 1, LEASE, NOW),
        store.claim_probe("tiktok", LEASE, NOW),
        store.settle([], NOW),
        store.next_due("tiktok"),
        store.totals(),
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * len(calls)
    assert store.trouble() is not None


async def test_nothing_hangs_while_nobody_answers(store: PostgresStore, proxy: Proxy) -> None:
    await works_again(store, "before")
    proxy.blackhole()
    began_at = monotonic()
    await every_method_fails(store)
    assert monotonic() - began_at < 2 * COMMAND_SECONDS + 2
    proxy.pass_on()
    await works_again(store, "after")


async def test_connections_that_are_cut_are_made_again(store: PostgresStore, proxy: Proxy) -> None:
    await works_again(store, "before")
    appends = [asyncio.ensure_future(store.append([event(f"m{n}")])) for n in range(20)]
    await asyncio.sleep(0)
    proxy.cut()
    await asyncio.gather(*appends, return_exceptions=True)
    await works_again(store, "after")
    again = await store.append([event(f"m{n}") for n in range(20)])
    kept = await store.deliveries([f"m{n}" for n in range(20)])
    assert len(kept) == 20, again


async def test_a_server_that_stopped_at_once_is_used_again(
    store: PostgresStore, own: Server
) -> None:
    await works_again(store, "before")
    assert (await store.append([event("kept")])).accepted == 1
    await asyncio.to_thread(own.stop, "immediate")
    await every_method_fails(store)
    await asyncio.to_thread(own.start)
    await works_again(store, "after")
    assert (await store.append([event("kept")])).duplicates == 1


async def test_trouble_ends_without_a_caller(store: PostgresStore, proxy: Proxy) -> None:
    await works_again(store, "before")
    proxy.cut()
    with pytest.raises(StoreUnavailable):
        await store.totals()
    assert store.trouble() is not None
    async with asyncio.timeout(BACK_SECONDS):
        while store.trouble() is not None:  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.05)


async def test_a_server_that_can_only_be_read_is_left(
    store: PostgresStore, own: Server, url: str
) -> None:
    direct = own.url("postgres")
    await works_again(store, "before")
    only_read = "ALTER SYSTEM SET default_transaction_read_only = {}"
    reload = "SELECT pg_reload_conf()"
    await rows_of(direct, only_read.format("on"), reload)
    try:
        async with asyncio.timeout(BACK_SECONDS):
            while not await _refused(store):  # noqa: ASYNC110 (nothing announces it)
                await asyncio.sleep(0.02)
        with pytest.raises(StoreUnavailable, match="written"):
            await store.append([event("b")])
        with pytest.raises(StoreUnavailable, match="no server at its address can be written"):
            await open_store(Address(url), Sealer([KEY]))
    finally:
        writable = f"SET default_transaction_read_only = off; {only_read.format('off')}"
        await rows_of(direct, *writable.split("; "), reload)
    await works_again(store, "after")


async def _refused(store: PostgresStore) -> bool:
    with suppress(StoreUnavailable):
        await store.append([event(f"{monotonic()}")])
        return False
    return True


async def test_who_gets_no_connection_is_told(url: str) -> None:
    connections = await open_pool(Address(url), 2, HOT)
    async with asyncio.timeout(5):
        busy = [asyncio.ensure_future(connections.run(_long)) for _ in range(2)]
        await asyncio.sleep(0.2)
        with pytest.raises(StoreUnavailable, match="in use"):
            await connections.run(_quick, 0.1)
        for one in busy:
            one.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        assert await connections.run(_quick, 1) == 1
    await connections.close()


async def test_what_takes_too_long_is_given_up(url: str) -> None:
    connections = await open_pool(Address(url), 1, HOT)
    async with asyncio.timeout(5):
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.2 s"):
            await connections.transact(_long, 0.2)
        assert await connections.run(_quick, 1) == 1
    await connections.close()


async def test_after_one_that_hung_all_are_made_again(url: str) -> None:
    """The others may lead to the same server that is gone."""
    connections = await open_pool(Address(url), CONNECTIONS, HOT)
    before = await _at_once(connections)
    with pytest.raises(StoreUnavailable):
        await connections.run(_long, 0.2)
    after = await _at_once(connections)
    assert len(before) == len(after) == CONNECTIONS
    assert not before & after
    await connections.close()


async def test_the_second_server_is_tried_when_the_first_is_silent(own: Server) -> None:
    database = (await asyncio.to_thread(fresh_database, own)).rpartition("/")[2]
    async with proxied(own.port) as silent:
        silent.blackhole()
        hosts = f"127.0.0.1:{silent.port},127.0.0.1:{own.port}"
        address = Address(f"postgresql://postgres@{hosts}/{database}")
        store = await open_store(address, Sealer([KEY]))
        assert (await store.append([event("a")])).accepted == 1
        await store.close()


async def test_whoever_is_cancelled_leaves_every_connection_usable() -> None:
    url = await asyncio.to_thread(new_database)
    address = Address(url, connections=CONNECTIONS, weak_durability=True)
    store = await open_store(address, Sealer([KEY]))
    dice = random.Random(6)  # noqa: S311 (drawn from a seed)
    await store.append([event("first")])
    for number in range(_ROUNDS):
        calls = [asyncio.ensure_future(call) for call in _some(store, number)]
        for _ in range(dice.randrange(25)):
            await asyncio.sleep(0)
        for call in dice.sample(calls, 3):
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        others = [r for r in results if isinstance(r, BaseException)]
        assert {type(one) for one in others} <= {asyncio.CancelledError}
    async with asyncio.timeout(5):
        hot = store._database.hot  # noqa: SLF001 (nothing else shows the pool)
        assert len(await _at_once(hot)) == CONNECTIONS
    names = [f"{number}-{n}" for number in range(_ROUNDS) for n in range(2)]
    assert (await store.append([event(name) for name in names])).fresh.count(False) > 0
    assert len(await store.deliveries(names)) == len(names)
    await store.close()


def _some(store: PostgresStore, number: int) -> list[Awaitable[object]]:
    return [
        store.append([event(f"{number}-0")]),
        store.append([event(f"{number}-1")]),
        _taken(store),
        store.claim_probe("tiktok", LEASE, NOW),
        store.next_due("tiktok"),
        store.totals(),
    ]


async def _taken(store: PostgresStore) -> None:
    claims = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([retried(claim, NOW) for claim in claims], NOW)


async def _at_once(connections: Connections) -> set[int]:
    """Which processes of the server serve as many pieces of work as there may be at once."""
    inside = asyncio.Barrier(CONNECTIONS)

    async def work(connection: Connection) -> int:
        await inside.wait()
        return connection.get_server_pid()

    return set(await asyncio.gather(*(connections.run(work) for _ in range(CONNECTIONS))))


async def _long(connection: Connection) -> int:
    await connection.execute("SELECT pg_sleep(30)")
    return 0


async def _quick(connection: Connection) -> int:
    found: int = await connection.fetchval("SELECT 1")
    return found
