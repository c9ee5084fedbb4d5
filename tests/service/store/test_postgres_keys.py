"""Rotation of the encryption key over PostgreSQL: a key can go once nothing needs it any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.errors import ConfigurationError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.cluster import NodeStanding, Role
from conversion_relay.service.store.port import Disposition, Retention, Settlement
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.keys import require_keys
from conversion_relay.service.store.postgres.store import PostgresStore
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event
from service.store.test_contract_history import VERSION
from support.postgres import new_database, rows_of

NEW = bytes(32)
LATER = NOW + timedelta(days=10)
REFUSED = f"sealed with another key \\(id {Sealer([KEY]).key_id}\\): give that key back"


@pytest.fixture
async def url() -> str:
    """Of a database of this test."""
    return await asyncio.to_thread(new_database)


@asynccontextmanager
async def opened(url: str, *keys: bytes) -> AsyncIterator[PostgresStore]:
    store = await open_store(Address(url, weak_durability=True), Sealer(keys))
    try:
        yield store
    finally:
        await store.close()


async def let_go_by(url: str, minutes: int) -> None:
    """As if nobody had been here for so long."""
    change = f"UPDATE sealing_keys SET used_at = used_at - interval '{minutes} min'"  # noqa: S608
    await rows_of(url, change, "SELECT 1")


async def key_ids(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("SELECT key_id FROM sealing_keys")
    await connection.close()
    return [key_id for (key_id,) in rows]


async def test_a_key_that_sealed_nothing_that_is_left_can_go(url: str) -> None:
    async with opened(url, KEY) as store:
        await store.append([event("a")])
        claims = await store.claim("tiktok", 10, LEASE, NOW)
        await store.settle([delivered(claims[0])], NOW)
    async with opened(url, NEW, KEY) as store:
        await store.append([replace(event("b"), received_at=LATER)])
        while not (await store.sweep(Retention(), LATER)).is_done:
            pass
    await let_go_by(url, 11)
    async with opened(url, NEW) as store:
        (claim,) = await store.claim("tiktok", 10, LEASE, LATER)
        assert claim.message_id == "b"
    assert await key_ids(url) == [Sealer([NEW]).key_id]


async def test_a_key_that_sealed_an_original_is_needed(url: str) -> None:
    async with opened(url, KEY) as store:
        kept = replace(event("a"), disposition=Disposition.REJECTED, deliveries=())
        await store.append([kept])
    with pytest.raises(ConfigurationError, match=REFUSED):
        async with opened(url, NEW):
            pass
    async with opened(url, NEW, KEY):
        pass
    assert sorted(await key_ids(url)) == sorted([Sealer([NEW]).key_id, Sealer([KEY]).key_id])
    with pytest.raises(ConfigurationError, match=REFUSED):
        async with opened(url, NEW):
            pass


async def test_a_key_that_sealed_a_body_is_needed(url: str) -> None:
    async with opened(url, KEY) as store:
        await store.append([event("a", original=b"x"), event("b", original=b"y")])
        claims = await store.claim("tiktok", 10, LEASE, NOW)
        dead = Transition(State.DEAD, Cause.REFUSED, None, "no")
        ends = [delivered(claims[0]), Settlement(claims[1].id, claims[1].fence, dead)]
        await store.settle(ends, NOW)
    async with opened(url, NEW, KEY) as store:
        # the chunk of originals is sealed anew, the body of the dead one is not
        while not (await store.sweep(Retention(), LATER)).is_done:
            pass
    with pytest.raises(ConfigurationError, match="can be taken away once nothing"):
        async with opened(url, NEW):
            pass


async def test_what_takes_too_long_to_rule_out_counts_as_needed(url: str) -> None:
    async with opened(url, KEY):
        pass
    await let_go_by(url, 11)
    connection, other = await asyncpg.connect(url), await asyncpg.connect(url)
    async with other.transaction(), connection.transaction():
        await other.execute("LOCK TABLE bodies")
        with pytest.raises(ConfigurationError, match=REFUSED):
            await require_keys(connection, Sealer([NEW]), 0.05)  # type: ignore[arg-type]
    async with connection.transaction():
        await require_keys(connection, Sealer([NEW]), 5.0)  # type: ignore[arg-type]
    await connection.close()
    await other.close()
    assert await key_ids(url) == [Sealer([NEW]).key_id]


async def test_configurations_need_no_key_but_the_one_that_seals(url: str) -> None:
    async with opened(url, KEY) as store:
        number = await store.history.keep_version(VERSION)
    async with opened(url, NEW, KEY):
        pass
    await let_go_by(url, 11)
    async with opened(url, NEW) as store:
        assert await store.history.versions(10) == (replace(VERSION, id=number),)


async def test_configurations_keep_nobody_from_a_new_key(url: str) -> None:
    async with opened(url, KEY) as store:
        await store.history.keep_version(VERSION)
    await let_go_by(url, 11)
    async with opened(url, NEW) as store:
        assert await store.history.versions(10) == ()
        assert await store.history.keep_version(VERSION) > 1


async def test_nodes_with_a_key_each_are_refused_but_one(url: str) -> None:
    """As of pods that draw one when they start, on an empty database."""
    keys = [bytes([number]) * 32 for number in range(4)]
    results = await asyncio.gather(*(_kept(url, key) for key in keys), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    told = [str(one) for one in results if isinstance(one, ConfigurationError)]
    assert len(told) == 3
    assert all("all nodes need the same RELAY_ENCRYPTION_KEY" in one for one in told)
    assert len(await key_ids(url)) == 1


async def _kept(url: str, key: bytes) -> None:
    async with opened(url, key):
        pass


async def test_a_key_is_not_given_up_while_a_node_seals_with_it(url: str) -> None:
    standing = NodeStanding(Role.ALL, "1.0", "127.0.0.1:1", NOW)
    async with opened(url, KEY) as store:
        await let_go_by(url, 60)
        await store.cluster.beat(standing, NOW)
        with pytest.raises(ConfigurationError, match="a node that was here within the last 10"):
            await _kept(url, NEW)
        assert (await store.append([event("a")])).accepted == 1
        assert len(await store.claim("tiktok", 10, LEASE, NOW)) == 1


async def test_a_key_with_which_nobody_seals_any_more_goes_while_nodes_are_here(
    url: str,
) -> None:
    """The last step of a rotation, one node after the other."""
    standing = NodeStanding(Role.ALL, "1.0", "127.0.0.1:1", NOW)
    await _kept(url, KEY)
    async with opened(url, NEW, KEY) as store:
        await let_go_by(url, 60)
        await store.cluster.beat(standing, NOW)
        async with opened(url, NEW):
            assert await key_ids(url) == [Sealer([NEW]).key_id]


async def test_what_another_key_sealed_is_left_to_those_who_have_it(url: str) -> None:
    """A node of a rolling rotation that has only the old key meets what the new one sealed."""
    async with opened(url, KEY) as old, opened(url, NEW, KEY) as new:
        names = [f"m{number}" for number in range(40)]
        await new.append([event(name) for name in names])
        with pytest.raises(StoreUnavailable, match=f"40 deliveries are .*{Sealer([NEW]).key_id}"):
            await old.claim("tiktok", 100, LEASE, NOW)
        states = {record.state for record in await new.deliveries(names)}
        assert states == {State.PENDING}
        assert await old.claim("tiktok", 100, LEASE, NOW) == ()
        soon = NOW + timedelta(seconds=15)
        claims = await new.claim("tiktok", 100, LEASE, soon)
        assert [claim.message_id for claim in claims] == names
        assert {claim.first_unknown_at for claim in claims} == {None}


async def test_what_one_can_open_goes_beside_what_one_cannot(url: str) -> None:
    async with opened(url, KEY) as old, opened(url, NEW, KEY) as new:
        await new.append([event("new"), event("damaged")])
        await old.append([event("old")])
        (record,) = await new.deliveries(["damaged"])
        damage = "UPDATE bodies SET sealed = overlay(sealed PLACING '\\xffffffff' FROM 2)"
        await rows_of(url, f"{damage} WHERE delivery = {record.id}", "SELECT 1")
        (claim,) = await old.claim("tiktok", 100, LEASE, NOW)
        assert claim.message_id == "old"
        records = {one.message_id: one for one in await new.deliveries(["new", "damaged"])}
        assert records["new"].state is State.PENDING
        assert "give every node the same" in (records["new"].reason or "")
        assert records["damaged"].state is State.DEAD
