"""What is particular to sweeping the embedded store: chunks, the ring, free pages, query plans."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import apsw
import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.embedded.connection import open_writing, transaction
from conversion_relay.service.store.originals import (
    Original,
    SealedOriginals,
    in_chunk_order,
    open_originals,
    seal_originals,
    thinned,
)
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    NewEvent,
    Retention,
    Settlement,
    Swept,
)
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.store.sqlite.ledger import SLOTS, forget, ring
from conversion_relay.service.store.sqlite.queries import QUERIES, in_slot
from conversion_relay.service.store.sqlite.removal import keep_thinned, to_thin
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from conversion_relay.service.store.times import to_microseconds
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event

DAY = timedelta(days=1)
KEPT = Retention()


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store."""
    store = await open_store(path, Sealer([KEY]))
    yield store
    await store.close()


@pytest.fixture
def raw(path: Path) -> Iterator[apsw.Connection]:
    """A connection past the store, for a database of the newest schema."""
    path.parent.mkdir(parents=True)
    connection = open_writing(path, None)
    migrate(connection, migrations())
    yield connection
    connection.close()


def unmatched(message_id: str) -> NewEvent:
    return replace(event(message_id), disposition=Disposition.UNMATCHED, deliveries=())


async def swept(store: SqliteStore, days: int) -> Swept:
    done = await store.sweep(KEPT, NOW + days * DAY)
    while not done.is_done:
        done = done.then(await store.sweep(KEPT, NOW + days * DAY))
    return done


def size(path: Path) -> int:
    return path.stat().st_size


def chunks(path: Path) -> list[SealedOriginals]:
    connection = apsw.Connection(str(path))
    rows = connection.execute("SELECT * FROM originals ORDER BY 1").fetchall()
    connection.close()
    return [SealedOriginals(*row) for row in rows]  # type: ignore[arg-type]


def originals(path: Path) -> list[Original]:
    return [one for chunk in chunks(path) for one in open_originals(chunk, Sealer([KEY]))]


async def deliver_all_but(store: SqliteStore, *kept: str) -> None:
    claims = await store.claim("tiktok", 1_000, LEASE, NOW)
    done = [delivered(claim) for claim in claims if claim.message_id not in kept]
    await store.settle(done, NOW)


async def test_the_bytes_of_a_removed_event_do_not_outlive_it(
    path: Path, store: SqliteStore
) -> None:
    names = [f"m{number}" for number in range(1, 301)]
    await store.append([event(name, original=f"of {name}".encode()) for name in names])
    await deliver_all_but(store, "m7", "m130")
    await swept(store, 7)
    assert originals(path) == [
        Original(7, "default", "m7", b"of m7"),
        Original(130, "default", "m130", b"of m130"),
    ]
    assert [(one.first_event, one.last_event) for one in chunks(path)] == [(1, 128), (129, 256)]
    assert (await swept(store, 8)).events == 0


async def test_what_is_kept_for_a_day_shares_no_chunk_with_what_is_kept_longer(
    path: Path, store: SqliteStore
) -> None:
    names = [f"m{number}" for number in range(60)]
    events = [unmatched(name) if number % 2 else event(name) for number, name in enumerate(names)]
    assert (await store.append(events)).fresh == (True,) * 60
    assert [(one.first_event, one.last_event) for one in chunks(path)] == [(1, 30), (31, 60)]
    before = chunks(path)
    assert (await swept(store, 1)).events == 30
    assert chunks(path) == before[:1]
    assert [one.message_id for one in originals(path)] == names[::2]


async def test_a_chunk_that_is_damaged_stops_no_sweep(path: Path, store: SqliteStore) -> None:
    await store.append([event("a"), event("b")])
    await deliver_all_but(store, "b")
    await store.close()
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE originals SET sealed = x'00'")
    connection.close()
    store = await open_store(path, Sealer([KEY]))
    assert (await swept(store, 7)).events == 1
    assert [chunk.sealed for chunk in chunks(path)] == [b"\x00"]
    await deliver_all_but(store)
    assert (await swept(store, 8)).events == 1
    assert chunks(path) == []
    await store.close()


async def test_what_goes_while_a_chunk_is_sealed_anew_is_not_forgotten(
    path: Path, store: SqliteStore
) -> None:
    await store.append([event("a"), event("b"), event("c")])
    await deliver_all_but(store, "b", "c")
    await store.sweep(KEPT, NOW)
    await store.close()
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM deliveries; DELETE FROM events WHERE id = 1;")
    connection.execute("INSERT INTO originals_to_thin VALUES (1)")
    (found,) = to_thin(connection)
    sealed = thinned(found.chunk, found.left, Sealer([KEY])).sealed
    connection.execute("DELETE FROM events WHERE id = 2")
    keep_thinned(connection, [(found, sealed)])
    (again,) = to_thin(connection)
    assert (again.chunk.sealed, again.left) == (found.chunk.sealed, frozenset({3}))
    keep_thinned(connection, [(again, thinned(again.chunk, again.left, Sealer([KEY])).sealed)])
    assert to_thin(connection) == ()
    connection.close()
    assert [one.event for one in originals(path)] == [3]


def test_a_thinned_chunk_keeps_ids_and_opens_in_its_place_only() -> None:
    sealer = Sealer([KEY])
    events = [event(f"m{n}", original=b"secret %d" % n) for n in range(5)]
    (chunk,) = seal_originals(events, 10, sealer)
    once = thinned(chunk, {11, 13, 14}, sealer)
    twice = thinned(once, {10, 13}, sealer)
    assert open_originals(twice, sealer) == [Original(13, "default", "m3", b"secret 3")]
    with pytest.raises(SealingError):
        open_originals(replace(twice, last_event=13), sealer)


def test_the_order_of_a_chunk_is_otherwise_that_of_arrival() -> None:
    events = [unmatched("a"), event("b"), unmatched("c"), event("d")]
    assert [one.message_id for one in in_chunk_order(events)] == ["b", "d", "a", "c"]


def states(connection: apsw.Connection) -> list[str]:
    return [slot.state.value for slot in ring(connection).slots]


def test_the_ring_has_the_tables_of_the_schema(raw: apsw.Connection) -> None:
    assert len(ring(raw).slots) == SLOTS
    assert states(raw) == ["current", "empty", "empty"]
    assert ring(raw).occupied == (0,)


def test_the_ring_turns_and_is_emptied_in_short_steps(raw: apsw.Connection) -> None:
    rows = [(f"m{n}", "default", 0, n) for n in range(12_000)]
    with transaction(raw):
        raw.executemany("INSERT INTO ledger_0 VALUES (?, ?, ?, ?)", rows)
    week = timedelta(days=7)

    def forgotten(weeks: int) -> tuple[int, bool]:
        step = forget(raw, KEPT.ledger, NOW + weeks * week)
        return step.ledger_entries, step.is_done

    seen = []
    for weeks in range(3):
        assert forgotten(weeks) == (0, True)
        seen.append(states(raw))
    assert seen == [
        ["current", "empty", "empty"],
        ["left", "current", "empty"],
        ["left", "left", "current"],
    ]
    assert [forgotten(3) for _ in range(4)] == [
        (5_000, False), (5_000, False), (2_000, False), (0, True),
    ]  # fmt: skip
    assert states(raw) == ["current", "left", "left"]
    assert ring(raw).current.since == ring(raw).slots[2].since


def test_a_table_that_is_not_empty_yet_is_waited_for(raw: apsw.Connection) -> None:
    at = to_microseconds(NOW)
    raw.execute("UPDATE ledger_slots SET state = 'left', since = ? WHERE slot = 1", (at,))
    raw.execute("UPDATE ledger_slots SET since = 1 WHERE slot = 0")
    raw.execute("INSERT INTO ledger_1 VALUES ('a', 'default', 1, 1)")
    assert forget(raw, KEPT.ledger, NOW) == Swept()
    assert states(raw) == ["current", "left", "empty"]
    then = NOW + KEPT.ledger
    assert forget(raw, KEPT.ledger, then) == Swept(ledger_entries=1, is_done=False)
    assert states(raw) == ["current", "empty", "empty"]
    assert forget(raw, KEPT.ledger, then) == Swept()
    assert states(raw) == ["left", "current", "empty"]


def test_a_table_left_by_a_clock_that_was_ahead_goes_before_the_next(
    raw: apsw.Connection,
) -> None:
    at, ahead = to_microseconds(NOW), to_microseconds(NOW + 3650 * DAY)
    for number, (state, since) in enumerate([("left", ahead), ("left", at), ("current", at)]):
        row = {"slot": number, "state": state, "since": since}
        raw.execute(QUERIES["enter_slot"], row)
    raw.execute("INSERT INTO ledger_0 VALUES ('a', 'default', 1, 1)")
    assert forget(raw, KEPT.ledger, NOW + 7 * DAY) == Swept()
    assert forget(raw, KEPT.ledger, NOW + KEPT.ledger) == Swept(ledger_entries=1, is_done=False)
    assert states(raw) == ["empty", "left", "current"]


async def test_a_clock_that_was_set_back_does_not_stop_the_ring(
    path: Path, store: SqliteStore
) -> None:
    await store.sweep(KEPT, NOW + 3650 * DAY)
    await store.close()
    store = await open_store(path, Sealer([KEY]), now=NOW)
    await swept(store, 8)
    await store.close()
    connection = apsw.Connection(str(path))
    assert ring(connection).current.number == 1
    connection.close()


async def test_a_clock_that_is_behind_for_once_makes_no_id_forgotten(store: SqliteStore) -> None:
    await swept(store, 0)
    await store.append([event("a")])
    await swept(store, 7)
    await swept(store, -20)
    assert (await swept(store, 8)).ledger_entries == 0
    assert (await store.append([event("a")])).fresh == (False,)


async def test_what_is_on_its_way_is_not_given_out_again_by_a_clock_set_back(
    store: SqliteStore,
) -> None:
    await store.append([event("a"), event("b")])
    late, _ = await store.claim("tiktok", 2, LEASE, NOW + 10 * DAY)
    await swept(store, 0)
    assert await store.claim("tiktok", 2, LEASE, NOW) == ()
    assert await store.settle([delivered(late)], NOW) == 1
    (again,) = await store.claim("tiktok", 2, LEASE, NOW + timedelta(minutes=5))
    assert (again.message_id, again.first_unknown_at) == ("b", NOW)


async def test_what_is_held_may_have_arrived_no_later_than_now(store: SqliteStore) -> None:
    await store.append([event("ahead"), event("before")])
    ahead, before = await store.claim("tiktok", 2, LEASE, NOW)
    await store.settle([held(ahead, NOW + 10 * DAY), held(before, NOW - DAY)], NOW)
    await swept(store, 0)
    await store.release("tiktok", NOW + 9 * DAY)
    claims = await store.claim("tiktok", 2, LEASE, NOW + 9 * DAY)
    assert {one.message_id: one.first_unknown_at for one in claims} == {
        "ahead": NOW, "before": NOW - DAY,
    }  # fmt: skip


def held(claim: ClaimedDelivery, unknown_at: datetime) -> Settlement:
    refused = Transition(State.HELD, Cause.CREDENTIALS, None, "token", unknown_at)
    return Settlement(claim.id, claim.fence, refused)


async def test_ids_of_a_table_that_was_left_are_found(path: Path, store: SqliteStore) -> None:
    await store.append([event("old")])
    await swept(store, 0)
    await swept(store, 7)
    await store.append([event("new")])
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT message_id FROM ledger_0").get == "old"
    assert connection.execute("SELECT message_id FROM ledger_1").get == "new"
    connection.close()
    assert (await store.append([event("old"), event("new")])).accepted == 0
    assert len(await store.deliveries(["old", "new"])) == 2


async def test_many_free_pages_are_given_back(path: Path, store: SqliteStore) -> None:
    dice = Random(0)  # noqa: S311 - bytes that cannot be compressed
    for number in range(100):
        big = replace(unmatched(f"m{number}"), original=dice.randbytes(250_000))
        await store.append([big])
    await store.close()
    before = size(path)
    store = await open_store(path, Sealer([KEY]))
    done = await swept(store, 1)
    await store.close()
    assert before > 20 * 1024 * 1024
    assert (done.events, done.freed_bytes) == (100, before - size(path))
    assert size(path) < before - 2 * 1024 * 1024


async def test_a_file_that_cannot_shrink_is_left_alone(path: Path, store: SqliteStore) -> None:
    await store.close()
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.pragma("auto_vacuum", 0)
    connection.execute("VACUUM")
    connection.execute("CREATE TABLE big (a); INSERT INTO big VALUES (zeroblob(40000000));")
    connection.execute("DROP TABLE big")
    connection.close()
    before = size(path)
    store = await open_store(path, Sealer([KEY]))
    assert await swept(store, 1) == Swept()
    await store.close()
    assert size(path) == before


def test_no_question_reads_a_whole_table_of_the_ledger(raw: apsw.Connection) -> None:
    asking = {name: text for name, text in QUERIES.items() if "ledger" in text}
    asked = 0
    for name, text in asking.items():
        if text.startswith(("INSERT", "UPDATE")) or name.startswith("forget"):
            continue
        query = in_slot(text, 0)
        plan = raw.execute(f"EXPLAIN QUERY PLAN {query}", dict.fromkeys(_names(query), "[]"))
        steps = [str(row[3]) for row in plan.fetchall()]
        whole = [step for step in steps if step.startswith(("SCAN ledger", "MATERIALIZE ledger"))]
        assert whole in ([], ["SCAN ledger_slots"]), name
        asked += 1
    assert asked >= 3


def _names(query: str) -> list[str]:
    return re.findall(r":(\w+)", query)


def test_looking_for_old_events_reads_old_events_only(raw: apsw.Connection) -> None:
    bounds = dict.fromkeys(_names(QUERIES["outlived"]), 1)
    plan = raw.execute(f"EXPLAIN QUERY PLAN {QUERIES['outlived']}", bounds)
    steps = [str(row[3]) for row in plan.fetchall()]
    assert any("USING COVERING INDEX events_age (disposition=? AND" in step for step in steps)
    assert not any(step.startswith(("SCAN events", "SCAN deliveries")) for step in steps)
