"""Persons and replay with several nodes at once: nothing is lost, nothing comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta

import asyncpg
import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.match_keys import EMAIL, EXTERNAL_ID, PHONE
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import open_originals
from conversion_relay.service.store.port import (
    Disposition,
    Forgotten,
    KeptEvent,
    KeyCount,
    KeyCounted,
    Learned,
    NewEvent,
    Requeue,
    Retention,
    Selection,
    Settlement,
    Store,
)
from conversion_relay.service.store.postgres.memory import SUBJECT_KEY_LOCK
from conversion_relay.service.store.subjects import Subjects
from service.store.conftest import KEY, PostgresEngine
from service.store.examples import LEASE, NOW, delivery, event
from support.postgres import new_database

EVERY = Selection()
NEW = bytes(32)
LASTS = timedelta(days=30)
SEALER = Sealer([KEY])
WAITING = (
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) "
    "WHERE NOT granted AND datname = current_database()"
)


@pytest.fixture
async def engine() -> AsyncIterator[PostgresEngine]:
    engine = PostgresEngine(await asyncio.to_thread(new_database))
    yield engine
    await engine.close()


@asynccontextmanager
async def asked(engine: PostgresEngine) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The database, past the store."""
    connection = await asyncpg.connect(engine.url)
    yield connection
    await connection.close()


def of(message_id: str, *subjects: str, **keys: str) -> NewEvent:
    """An event of a user that teaches these match keys."""
    one = event(message_id, original=b'{"userId":"%s"}' % subjects[0].encode())
    learned = (Learned("tiktok", keys, NOW + LASTS),) if keys else ()
    return replace(one, subjects=subjects, learned=learned)


async def kept(store: Store) -> list[KeptEvent]:
    return [*(await store.select(EVERY, 0, 1_000)).events]


async def test_what_two_nodes_learn_at_the_same_moment_is_all_remembered(
    engine: PostgresEngine,
) -> None:
    one, other = await engine.open(), await engine.open()
    users = [f"u{number}" for number in range(20)]
    told = {user: {EXTERNAL_ID: user} for user in users}
    for turn in range(5):
        emails = [
            of(f"e-{turn}-{user}", user, "x" + user, **keys, **{EMAIL: f"e{turn}"})
            for user, keys in told.items()
        ]
        phones = [
            of(f"p-{turn}-{user}", user, "x" + user, **keys, **{PHONE: f"p{turn}"})
            for user, keys in told.items()
        ]
        await asyncio.gather(one.append(emails), other.append(phones[::-1]))
        found = await one.remembered("default", [*users, "x" + users[0]], NOW)
        for user, keys in told.items():
            everything = {**keys, EMAIL: f"e{turn}", PHONE: f"p{turn}"}
            assert found[user] == {"tiktok": everything}
        assert found["x" + users[0]] == found[users[0]]


async def test_who_starts_while_another_makes_the_key_waits_for_it(
    engine: PostgresEngine,
) -> None:
    subjects = Subjects.drawn()
    async with asked(engine) as connection, asked(engine) as watching:
        async with connection.transaction():
            await connection.fetch("SELECT pg_advisory_xact_lock($1)", SUBJECT_KEY_LOCK)
            await connection.execute(
                "INSERT INTO subject_key VALUES (1, $1)", subjects.sealed(SEALER)
            )
            starting = asyncio.create_task(engine.open())
            async with asyncio.timeout(30):
                while not await watching.fetchval(WAITING):
                    pass
        store = await starting
        new = of("a", "u")
        await store.append([new])
        hashes = await watching.fetchval("SELECT hashes FROM event_subjects")
        assert hashes == subjects.marks([new])


async def test_nodes_that_start_at_once_have_one_key(engine: PostgresEngine) -> None:
    stores = await asyncio.gather(*(engine.open() for _ in range(4)))
    for number, store in enumerate(stores):
        await store.append([of(f"m-{number}", "u", email="e")])
    assert await stores[3].forget({"u"}, None, NOW) == Forgotten(4, 4, {State.PENDING: 4}, 1)
    assert await stores[0].remembered("default", ["u"], NOW) == {}


async def test_the_key_needs_no_older_key_once_a_node_started_with_a_newer_one(
    engine: PostgresEngine,
) -> None:
    await engine.open()
    store = await engine.open(NEW, KEY)
    await store.append([replace(of("a", "u"), original=b"{}")])
    async with asked(engine) as connection:
        await connection.execute("UPDATE sealing_keys SET used_at = now() - interval '11 min'")
    store = await engine.open(NEW)
    assert (await store.forget({"u"}, None, NOW)).events == 1


async def test_without_the_key_only_originals_tell_whose_events_are(
    engine: PostgresEngine,
) -> None:
    store = await engine.open()
    note = replace(of("d", "w"), original=b'{"userId":"w","note":"u"}')
    hidden = replace(event("q", original=b'{"userId":"u'), disposition=Disposition.QUARANTINED)
    unread = replace(hidden, deliveries=())
    await store.append([of("a", "u", email="e"), of("b", "v"), of("c", "u2"), note, unread])
    async with asked(engine) as connection:
        await connection.execute("UPDATE subject_key SET sealed = 'lost'")
    store = await engine.open()
    assert await store.remembered("default", ["u"], NOW) == {}
    await store.append([of("late", "u")])
    assert (await store.forgettable({"u"}, None, NOW)).events == 3
    assert await store.forget({"u"}, None, NOW) == Forgotten(3, 3, {State.PENDING: 2})
    assert [one.message_id for one in await kept(store)] == ["b", "c", "d"]


async def test_two_nodes_forget_out_of_the_same_chunks(engine: PostgresEngine) -> None:
    """What one of them took out must not come back with what the other seals anew."""
    one, other = await engine.open(), await engine.open()
    for begin in range(0, 480, 60):
        numbers = range(begin, begin + 60)
        await one.append([of(f"m{number}", "uvw"[number % 3]) for number in numbers])
    first, second = await asyncio.gather(
        one.forget({"u"}, None, NOW), other.forget({"v"}, None, NOW)
    )
    assert (first.events, second.events) == (160, 160)
    expected = [f"m{number}" for number in range(2, 480, 3)]
    sealed = [part for one in await engine.originals() for part in open_originals(one, SEALER)]
    assert sorted(part.message_id for part in sealed) == sorted(expected)
    assert sorted(found.message_id for found in await kept(other)) == sorted(expected)


async def test_both_forget_the_same_user_and_count_it_once(engine: PostgresEngine) -> None:
    one, other = await engine.open(), await engine.open()
    await one.append([of(f"m{number}", "u", email="e") for number in range(300)])
    first, second = await asyncio.gather(
        one.forget({"u"}, None, NOW), other.forget({"u"}, None, NOW)
    )
    assert first.plus(second) == Forgotten(300, 300, {State.PENDING: 300}, 1)
    assert await kept(one) == []


async def test_what_another_node_keeps_meanwhile_is_whole_or_gone(
    engine: PostgresEngine,
) -> None:
    """What was there before goes; what came later stays, and no match keys outlive their event."""
    one, other = await engine.open(), await engine.open()
    for turn in range(8):
        user = f"u{turn}"
        await one.append([of(f"{user}-{n}", user, email="old") for n in range(20)])
        forgetting = asyncio.create_task(one.forget({user}, None, NOW))
        late = [of(f"{user}-late-{n}", user, email=f"new-{n}") for n in range(6)]
        for number, each in enumerate(late):
            await other.append([each])
            if number == len(late) // 2:
                await forgetting
        assert (await forgetting).events >= 20
        left = [found.message_id for found in await kept(other) if user in found.message_id]
        assert set(left) <= {each.message_id for each in late}
        assert {f"{user}-late-4", f"{user}-late-5"} <= set(left)
        found = await other.remembered("default", [user], NOW)
        assert found == {user: {"tiktok": {"email": "new-5"}}}
        assert (await other.forget({user}, None, NOW)).events == len(left)
        assert await one.remembered("default", [user], NOW) == {}


async def test_two_nodes_send_a_dead_delivery_again_once(engine: PostgresEngine) -> None:
    one, other = await engine.open(), await engine.open()
    await one.append([event(f"m{number}") for number in range(20)])
    claims = await one.claim("tiktok", 100, LEASE, NOW)
    dead = Transition(State.DEAD, Cause.REFUSED, None, "no")
    await one.settle([Settlement(claim.id, claim.fence, dead) for claim in claims], NOW)
    wanted = [Requeue(found.id, found.deliveries[0].record) for found in await kept(one)]
    done = await asyncio.gather(one.requeue(wanted, NOW), other.requeue(wanted[::-1], NOW))
    assert [a + b for a, b in zip(done[0], done[1][::-1], strict=True)] == [1] * 20
    assert len(await other.claim("tiktok", 100, LEASE, NOW)) == 20


async def test_two_nodes_make_a_new_delivery_once(engine: PostgresEngine) -> None:
    """Also of an event that gets its messageId only now."""
    one, other = await engine.open(), await engine.open()
    hidden = replace(event("x"), disposition=Disposition.QUARANTINED, deliveries=())
    await one.append([replace(hidden, message_id=f"relay-{number}") for number in range(20)])
    wanted = [
        Requeue(found.id, None, delivery(f"m{number}"), message_id=f"m{number}")
        for number, found in enumerate(await kept(one))
    ]
    late = [event(f"m{number}") for number in range(20)]
    first, second, receipt = await asyncio.gather(
        one.requeue(wanted, NOW), other.requeue(wanted[::-1], NOW), other.append(late)
    )
    once = [a + b for a, b in zip(first, second[::-1], strict=True)]
    assert [made + fresh for made, fresh in zip(once, receipt.fresh, strict=True)] == [1] * 20
    assert len(await one.claim("tiktok", 100, LEASE, NOW)) == 20


async def test_two_nodes_make_the_same_delivery_of_an_unused_event_once(
    engine: PostgresEngine,
) -> None:
    one, other = await engine.open(), await engine.open()
    unused = replace(event("x"), disposition=Disposition.UNMATCHED, deliveries=())
    for turn in range(3):
        names = [f"m{turn}-{number}" for number in range(50)]
        await one.append([replace(unused, message_id=name) for name in names])
        events = [found for found in await kept(one) if not found.deliveries]
        wanted = [Requeue(found.id, None, delivery(found.message_id)) for found in events]
        done = await asyncio.gather(one.requeue(wanted, NOW), other.requeue(wanted, NOW))
        assert [a + b for a, b in zip(*done, strict=True)] == [1] * 50
    assert len(await one.claim("tiktok", 1_000, LEASE, NOW)) == 150


async def test_one_call_names_an_event_and_a_key_several_times(engine: PostgresEngine) -> None:
    store = await engine.open()
    hidden = replace(event("x"), disposition=Disposition.QUARANTINED, deliveries=())
    await store.append([replace(hidden, message_id=name) for name in ("relay-1", "relay-2")])
    first, second = await kept(store)
    wanted = [
        Requeue(first.id, None, delivery("m"), message_id="m"),
        Requeue(second.id, None, delivery("m"), message_id="m"),
        Requeue(first.id, None, delivery("m", "other", "E"), message_id="m"),
        Requeue(first.id, None, delivery("m", "other", "E"), message_id="m"),
        Requeue(second.id, first.deliveries[0].record if first.deliveries else None),
    ]
    assert await store.requeue(wanted, NOW) == (True, False, True, False, False)
    assert await store.known([("default", "m")]) == (first.id,)


async def test_a_key_that_was_not_needed_is_free_again(engine: PostgresEngine) -> None:
    store = await engine.open()
    await store.append([event("relay-1")])
    (found,) = await kept(store)
    like = Requeue(found.id, None, delivery("relay-1"), message_id="m")
    assert await store.requeue([like], NOW) == (False,)
    assert await store.known([("default", "m")]) == (None,)
    assert (await store.append([event("m")])).accepted == 1


async def test_later_deliveries_lie_in_the_day_of_their_event(engine: PostgresEngine) -> None:
    store = await engine.open()
    days = [NOW + timedelta(days=number) for number in range(3)]
    unused = replace(event("x"), disposition=Disposition.UNMATCHED, deliveries=())
    await store.append([replace(unused, message_id=f"m{at.day}", received_at=at) for at in days])
    pages = [await store.select(EVERY, 0, 1)]
    while pages[-1].after is not None:
        pages.append(await store.select(EVERY, pages[-1].after, 1))
    assert [page.share for page in pages] == [pytest.approx(n / 3) for n in (1, 2, 3)]
    events = [one for page in pages for one in page.events]
    wanted = [Requeue(one.id, None, delivery(one.message_id)) for one in events]
    assert await store.requeue(wanted, days[2]) == (True,) * 3
    for one in await kept(store):
        assert one.deliveries[0].record.id >> 36 == one.id >> 36
        assert await store.body(one.deliveries[0].record.id) is not None


async def test_texts_with_nul_come_back_as_they_were(engine: PostgresEngine) -> None:
    store = await engine.open()
    odd = "a\x00b\x1b0\x1bE"
    planned = replace(delivery(odd), mapping=odd, event_name=odd)
    await store.append([replace(event(odd, planned), reason=odd)])
    (found,) = (await store.select(Selection(message_ids=frozenset({odd})), 0, 10)).events
    (made,) = found.deliveries
    assert (found.message_id, found.reason, made.event_id) == (odd, odd, odd)
    assert (made.record.mapping, made.record.event_name) == (odd, odd)
    again = Requeue(found.id, made.record, replace(planned, body=b"new"), message_id=odd + "x")
    assert await store.requeue([again], NOW) == (True,)
    assert await store.body(made.record.id) == b"new"
    assert await store.known([("default", odd), ("default", odd + "x")]) == (found.id,) * 2
    chosen = Selection(states=frozenset({State.PENDING}), mapping=odd)
    assert len((await store.select(chosen, 0, 10)).events) == 1
    assert (await store.forget({"u\x00"}, "no\x00where", NOW)) == Forgotten()


async def test_counts_are_folded_and_stay_the_same(engine: PostgresEngine) -> None:
    one, other = await engine.open(), await engine.open()
    count = KeyCount("tiktok", "email", 1, 2)
    for number in range(5):
        for store, name in ((one, "a"), (other, "b")):
            new = replace(event(f"{name}{number}"), key_counts=(count,))
            await store.append([new, replace(new, message_id=f"{name}{number}-late",
                                             received_at=NOW + timedelta(days=1))])  # fmt: skip
    days = [NOW.date(), NOW.date() + timedelta(days=1)]
    expected = tuple(KeyCounted(day, "tiktok", "email", 10, 10, 20) for day in days)
    assert tuple(await one.key_report(date(1970, 1, 1), days[1])) == expected
    while not (await one.sweep(Retention(), NOW)).is_done:
        pass
    assert tuple(await one.key_report(date(1970, 1, 1), days[1])) == expected
    async with asked(engine) as connection:
        assert await connection.fetchval("SELECT count(*) FROM match_key_counts") == 2
