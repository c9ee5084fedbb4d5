"""Lanes that nodes share over PostgreSQL: who saw the latest changes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.lane import Condition, Lane
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.cluster import Decision, SharedLane
from conversion_relay.service.store.lane_words import lane_of, words_of
from conversion_relay.service.store.port import LaneRecord
from conversion_relay.service.store.postgres import Address, open_store
from conversion_relay.service.store.postgres.store import PostgresStore
from service.store.examples import NOW
from support.postgres import new_database

SEALER = Sealer((bytes(32),))
_MOMENTS = st.none() | st.datetimes(timezones=st.just(UTC))


@pytest.fixture
def url() -> str:
    """Of a database of its own."""
    return new_database()


@pytest.fixture
async def stores(url: str) -> AsyncIterator[list[PostgresStore]]:
    """Of three nodes."""
    address = Address(url, weak_durability=True)
    async with AsyncExitStack() as stack:
        opened = []
        for name in ("a", "b", "c"):
            opened.append(await open_store(address, SEALER, name))
            stack.push_async_callback(opened[-1].close)
        yield opened


@given(
    st.builds(
        Lane,
        condition=st.sampled_from(Condition),
        since=_MOMENTS,
        reason=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        failures=st.integers(0, 9),
        next_at=_MOMENTS,
        timed_at=_MOMENTS,
        per_second=st.floats(0.2, 900),
        counted_from=_MOMENTS,
        last_rate=st.floats(0, 900),
    )
)
def test_a_lane_outlasts_its_words(lane: Lane) -> None:
    assert lane_of(words_of(lane)) == lane


def test_words_of_another_release_are_understood() -> None:
    assert lane_of('{"condition": "open", "colour": "red"}') == Lane(Condition.OPEN)
    with pytest.raises(ValueError, match="condition"):
        lane_of('{"condition": "frozen"}')


async def test_only_who_saw_the_latest_changes_it(stores: list[PostgresStore]) -> None:
    first, other, _ = (store.cluster for store in stores)
    assert await first.lane("tiktok") is None
    new = SharedLane("tiktok", "one", Lane())
    assert await first.change_lane(new)
    assert not await other.change_lane(new), "there is one by now"
    seen = await other.lane("tiktok")
    assert seen == replace(new, revision=1)
    assert seen.told_at is not None
    assert abs(datetime.now(UTC) - seen.told_at) < timedelta(seconds=5)  # noqa: TID251
    opened = Lane(Condition.OPEN, NOW, "gone\x00 \x1b", 5, NOW, NOW)
    assert await other.change_lane(replace(seen, lane=opened, credential="two"))
    assert not await first.change_lane(seen)
    assert await first.lane("tiktok") == SharedLane("tiktok", "two", opened, 2)
    assert await stores[0].lanes() == (
        LaneRecord("tiktok", "two", Condition.OPEN, NOW, "gone\x00 \x1b"),
    )


async def test_of_many_who_change_it_at_once_one_does(stores: list[PostgresStore]) -> None:
    for revision in range(5):
        lane = SharedLane("tiktok", "one", Lane(failures=revision), revision)
        done = await asyncio.gather(*(store.cluster.change_lane(lane) for store in stores * 3))
        assert sum(done) == 1


async def test_a_condition_that_was_kept_alone_is_a_lane(stores: list[PostgresStore]) -> None:
    """As of a store that was moved here."""
    store, other, _ = stores
    await store.keep_lane(LaneRecord("tiktok", "one", Condition.HELD, NOW, "no"))
    seen = await other.cluster.lane("tiktok")
    assert seen == SharedLane("tiktok", "one", Lane(Condition.HELD, NOW, "no"))
    assert await other.cluster.change_lane(replace(seen, lane=Lane()))
    await store.keep_lane(LaneRecord("tiktok", "one", Condition.OPEN, NOW, "away"))
    assert not await other.cluster.change_lane(replace(seen, revision=1)), "it is another now"
    again = await other.cluster.lane("tiktok")
    assert again is not None
    assert again.lane == Lane(Condition.OPEN, NOW, "away")


async def test_one_proposal_at_a_time(stores: list[PostgresStore]) -> None:
    first, other, third = (store.cluster for store in stores)
    assert await first.proposal() is None
    made = await asyncio.gather(
        *(one.propose("mark", '{"a": "ä"}') for one in (first, other, third) for _ in range(3))
    )
    (number,) = filter(None, made)
    seen = await third.proposal()
    assert seen is not None
    assert (seen.id, seen.fingerprint, seen.content, seen.decision) == (
        *(number, "mark", '{"a": "ä"}'),
        None,
    )
    assert timedelta() <= seen.age < timedelta(seconds=5)
    await first.vote(number, None)
    await other.vote(number, "no\x00")
    assert await other.decide(number, Decision.REFUSED, "no\x00")
    assert not await first.decide(number, Decision.ADOPTED)
    await third.vote(number, "too late")
    ended = await third.proposal()
    assert ended is not None
    assert (ended.decision, ended.reason) == (Decision.REFUSED, "no\x00")
    assert ended.votes == {"a": None, "b": "no\x00"}
    assert ended.content == seen.content
    following = await first.propose("other", "{}")
    assert following is not None
    assert following > number
    newest = await third.proposal()
    assert newest is not None
    assert (newest.content, newest.votes) == ("{}", {})


async def test_a_proposal_is_sealed(stores: list[PostgresStore]) -> None:
    await stores[0].cluster.propose("mark", "content of it")

    async def rows(connection: object) -> str:
        return str(await connection.fetch("SELECT * FROM proposals"))  # type: ignore[attr-defined]

    assert "content of it" not in await stores[0].cluster._database.hot.run(rows)  # noqa: SLF001
