"""The nodes over one database: signs of life, duties, and what they hear of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.app import now
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.cluster import LOST_AFTER, NodeStanding, Role, Topic
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.news import News
from conversion_relay.service.store.postgres.store import PostgresStore
from support.postgres import new_database

STANDING = NodeStanding(
    Role.INGEST, "1.0", "one:8080", datetime(2026, 11, 22, tzinfo=UTC), "fingerprint", '{"a": 1}'
)
MINUTE = timedelta(minutes=1)
_BOUND_SECONDS = 10


class Nodes:
    """Several nodes over one database, and somebody who looks into it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[PostgresStore] = []

    async def open(self, name: str, *, pooled: bool = False) -> PostgresStore:
        """One more."""
        address = Address(self.url, weak_durability=True, pooled=pooled)
        store = await open_store(address, Sealer([b"k" * 32]), name)
        self.opened.append(store)
        return store

    async def ask(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """What the database itself says."""
        connection = await asyncpg.connect(self.url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return found
        finally:
            await connection.close()


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    """None yet."""
    several = Nodes(await asyncio.to_thread(new_database))
    yield several
    for store in several.opened:
        await store.close()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(_BOUND_SECONDS):
        while not condition():  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.01)


async def test_a_sign_of_life_is_seen_by_the_others(nodes: Nodes) -> None:
    one, two = (await nodes.open("one")).cluster, (await nodes.open("two")).cluster
    assert (one.node, await two.nodes()) == ("one", [])
    await one.beat(STANDING, now())
    await two.beat(replace(STANDING, configuration=None), now() + MINUTE)
    await one.beat(replace(STANDING, role=Role.ALL), now() - MINUTE)
    first, second = await two.nodes()
    assert (first.node, first.standing) == ("one", replace(STANDING, role=Role.ALL))
    assert (second.node, second.standing.configuration) == ("two", None)
    assert abs(first.clock_offset + MINUTE) < timedelta(seconds=2)
    assert abs(second.clock_offset - MINUTE) < timedelta(seconds=2)
    assert first.is_here
    assert timedelta() <= first.silent_for < timedelta(seconds=5)


async def test_a_silent_node_is_lost_and_forgotten_after_a_day(nodes: Nodes) -> None:
    one, two = (await nodes.open("one")).cluster, (await nodes.open("two")).cluster
    await one.beat(STANDING, now())
    await nodes.ask("UPDATE nodes SET seen_at = now() - $1::interval", LOST_AFTER)
    (lost,) = await two.nodes()
    assert not lost.is_here
    await nodes.ask("UPDATE nodes SET seen_at = now() - interval '25 h'")
    assert await two.nodes() == []
    await two.beat(STANDING, now())
    assert [row["node"] for row in await nodes.ask("SELECT node FROM nodes")] == ["two"]


async def test_one_node_at_a_time_has_a_duty(nodes: Nodes) -> None:
    one, two = (await nodes.open("one")).cluster, (await nodes.open("two")).cluster
    for cluster in (one, two):
        await cluster.beat(STANDING, now())
    found = await asyncio.gather(*(node.hold("watch", MINUTE) for node in (one, two) * 5))
    assert set(found[::2]) ^ set(found[1::2]) == {True, False}
    holder, other = (one, two) if found[0] else (two, one)
    assert await holder.hold("watch", MINUTE)
    assert {node.node: node.duties for node in await one.nodes()} == {
        holder.node: ("watch",),
        other.node: (),
    }
    await nodes.ask("UPDATE duties SET until = now()")
    assert [await other.hold("watch", MINUTE), await holder.hold("watch", MINUTE)] == [True, False]
    await other.leave()
    assert await holder.hold("watch", MINUTE)
    assert [node.node for node in await one.nodes()] == [holder.node]


async def test_what_a_node_tells_the_others_hear(nodes: Nodes) -> None:
    one, two = (await nodes.open("one")).cluster, (await nodes.open("two")).cluster
    heard: dict[str, int] = {"one": 0, "two": 0, "lanes": 0}

    def counting(name: str) -> Callable[[], None]:
        return lambda: heard.update({name: heard[name] + 1})

    one.hear(Topic.ARRIVED, counting("one"))
    two.hear(Topic.ARRIVED, counting("two"))
    two.hear(Topic.LANES, counting("lanes"))
    await _until(lambda: min(heard.values()) == 1)  # as if it had been told: it may have been
    for _ in range(200):
        await one.tell(Topic.ARRIVED)
    await _until(lambda: heard["two"] > 1)
    await one.tell(Topic.LANES)
    await _until(lambda: heard["lanes"] > 1)
    assert heard["one"] == 1, "nobody hears himself"
    assert heard["two"] <= 3, "many at once are told once"


async def test_a_connection_that_dies_is_made_anew(nodes: Nodes) -> None:
    one, two = (await nodes.open("one")).cluster, (await nodes.open("two")).cluster
    heard: list[int] = []
    two.hear(Topic.ARRIVED, lambda: heard.append(1))
    await _until(lambda: len(heard) == 1)
    await nodes.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    await _until(lambda: len(heard) == 2)  # it has caught up
    await one.tell(Topic.ARRIVED)
    await _until(lambda: len(heard) > 2)


class _Mute:
    """A connection behind which nobody answers."""

    def __init__(self) -> None:
        self.ended = False

    def add_termination_listener(self, _: object) -> None:
        """Nothing ends it."""

    async def add_listener(self, *_: object) -> None:
        """As it should be."""

    async def execute(self, *_: object, **__: float) -> None:
        """As asyncpg says it."""
        raise TimeoutError

    def is_closed(self) -> bool:
        """As far as is known."""
        return self.ended

    def terminate(self) -> None:
        """Let go of."""
        self.ended = True


async def test_a_connection_that_says_nothing_any_more_is_made_anew() -> None:
    made: list[_Mute] = []

    async def dial() -> _Mute:
        made.append(_Mute())
        return made[-1]

    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    news = News("one", dial, at_once)  # type: ignore[arg-type]
    for count in range(1, 4):
        news.tell(Topic.ARRIVED)
        await _until(lambda count=count: len(made) > count)  # type: ignore[misc]
    await news.close()
    assert all(one.ended for one in made)


async def test_behind_a_pooler_nothing_is_heard_and_nothing_fails(nodes: Nodes) -> None:
    store = await nodes.open("one", pooled=True)
    store.cluster.hear(Topic.ARRIVED, lambda: None)
    await store.cluster.tell(Topic.ARRIVED)
    await store.cluster.beat(STANDING, now())
    listening = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = "
    assert await nodes.ask(listening + "current_database()") == []


async def test_a_store_that_is_closed_tells_and_beats_no_more(nodes: Nodes) -> None:
    store = await nodes.open("one")
    store.cluster.hear(Topic.ARRIVED, lambda: None)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.cluster.beat(STANDING, now())
    await store.cluster.tell(Topic.ARRIVED)
