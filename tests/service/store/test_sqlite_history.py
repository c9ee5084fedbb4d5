"""What is particular to the history of the embedded store: cost, sealing, threads, query plans."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.delivery import LIFE, Cause, State, Transition
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.embedded.connection import open_writing, transaction
from conversion_relay.service.store.history import Waiting
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Requeue,
    Retention,
    Selection,
    Settlement,
)
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from conversion_relay.service.store.times import nearest_moment
from service.store.conftest import KEY
from service.store.examples import APP, LEASE, NOW, WEB, delivered, delivery, event, retried
from service.store.test_contract_history import REFUSED, REQUEST, SILENT, VERSION
from service.store.test_sqlite_migrating import BACKLOG, STATES, first_release
from support.disk import FULL, Disk, failing_disk

DAY = timedelta(days=1)
NEW_KEY = bytes(32)


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


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    found = [tuple(row) for row in connection.execute(query)]
    connection.close()
    return found


def size(path: Path) -> int:
    return path.stat().st_size


async def claimed(store: SqliteStore) -> list[ClaimedDelivery]:
    return list(await store.claim("tiktok", 100, LEASE, NOW))


# Attempts


async def test_an_ordinary_delivery_costs_no_further_row(path: Path, store: SqliteStore) -> None:
    await store.append([event("a"), event("b")])
    await store.settle([delivered(one) for one in await claimed(store)], NOW, REQUEST)
    assert rows(path, "SELECT count(*) FROM requests") == [(1,)]
    assert rows(path, "SELECT * FROM attempts") == []
    assert rows(path, "SELECT request FROM deliveries") == [(1,), (1,)]


async def try_twice(store: SqliteStore) -> None:
    """Two deliveries of two users, delivered with the second request."""
    await store.append(
        [replace(event("a"), subjects=("ann",)), replace(event("b"), subjects=("bob",))]
    )
    await store.settle([retried(one, NOW) for one in await claimed(store)], NOW, SILENT)
    await store.settle([delivered(one) for one in await claimed(store)], NOW, REQUEST)


async def test_attempts_are_erased_with_their_user(path: Path, store: SqliteStore) -> None:
    await try_twice(store)
    assert rows(path, "SELECT * FROM attempts") == [(1, 1), (2, 1)]
    await store.forget({"ann"}, None, NOW)
    assert rows(path, "SELECT * FROM attempts") == [(2, 1)]
    assert len(await store.history.attempts(2)) == 2


async def test_attempts_are_swept_with_their_delivery(path: Path, store: SqliteStore) -> None:
    await try_twice(store)
    while not (await store.sweep(Retention(), NOW + 7 * DAY)).is_done:
        pass
    assert rows(path, "SELECT * FROM attempts") == []
    assert rows(path, "SELECT count(*) FROM requests") == [(2,)]


# While the disk fails


@pytest.fixture
def disk(path: Path) -> Iterator[Disk]:
    """Under the database, working."""
    path.parent.mkdir(parents=True)
    with failing_disk(path.parent) as disk:
        yield disk


async def test_requests_are_written_with_the_book(disk: Disk, store: SqliteStore) -> None:
    await store.append([event("a"), event("b")])
    await store.settle([], NOW, SILENT)
    first, second = await claimed(store)
    disk.fault = FULL
    await store.settle([delivered(first)], NOW, REFUSED)
    await store.settle([delivered(second)], NOW)
    await store.settle([], NOW, REQUEST)
    assert await store.history.requests(NOW, NOW + DAY, 10) == (SILENT,)
    disk.fault = None
    await store.append([event("after")])
    assert await store.history.requests(NOW, NOW + DAY, 10) == (SILENT, REFUSED, REQUEST)
    assert await store.history.attempts(first.id) == (REFUSED,)
    assert await store.history.attempts(second.id) == ()


async def test_a_book_written_in_two_goes_tells_of_no_request_twice(
    path: Path, disk: Disk, store: SqliteStore
) -> None:
    await store.append([event(f"m{number}") for number in range(6_000)])
    disk.fault = FULL
    sent = 0
    while claims := await store.claim("tiktok", 1_000, LEASE, NOW):
        request = replace(REQUEST, seconds=float(sent), events=len(claims))
        await store.settle([delivered(claim) for claim in claims], NOW, request)
        sent += 1
    disk.fault = None
    raw = apsw.Connection(str(path))
    raw.set_busy_timeout(20_000)
    raw.execute(
        "CREATE TRIGGER full_disk BEFORE UPDATE ON deliveries "
        "WHEN OLD.id = 5500 AND NEW.state = 'delivered' BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(StoreUnavailable):
        await store.append([event("after")])
    assert raw.execute("SELECT count(*) FROM requests").get == 5
    raw.execute("DROP TRIGGER full_disk")
    raw.close()
    await store.append([event("after")])
    kept = await store.history.requests(NOW, NOW + DAY, 100)
    assert sorted(one.seconds for one in kept) == [float(number) for number in range(sent)]
    await store.settle([], NOW, SILENT)
    assert len(await store.history.requests(NOW, NOW + DAY, 100)) == sent + 1


# Sealing


async def test_no_configuration_stands_readable_in_the_file(
    path: Path, store: SqliteStore
) -> None:
    await store.history.keep_version(VERSION)
    await store.close()
    assert b"RELAY_TOKEN" not in await asyncio.to_thread(path.read_bytes)


async def test_configurations_need_no_key_but_the_one_that_seals(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.history.keep_version(VERSION)
    await store.close()
    await (await open_store(path, Sealer([NEW_KEY, KEY]))).close()
    store = await open_store(path, Sealer([NEW_KEY]))
    assert await store.history.versions(10) == (replace(VERSION, id=1),)
    await store.close()


async def test_configurations_keep_nobody_from_a_new_key(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.history.keep_version(VERSION)
    await store.close()
    store = await open_store(path, Sealer([NEW_KEY]))
    assert await store.history.versions(10) == ()
    assert await store.history.keep_version(VERSION) == 2
    await store.close()


async def test_a_damaged_configuration_hides_no_other(path: Path, store: SqliteStore) -> None:
    for fingerprint in ("a", "b"):
        await store.history.keep_version(replace(VERSION, fingerprint=fingerprint))
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE configurations SET fingerprint = 'x' WHERE id = 1")
    connection.close()
    assert [one.id for one in await store.history.versions(10)] == [2]
    assert await store.history.version(1) is None


# Earlier releases


async def test_an_upgraded_backlog_has_its_history_from_now_on(path: Path) -> None:
    first_release(path)
    store = await open_store(path, Sealer([KEY]))
    each = BACKLOG // len(STATES)
    assert await store.history.waiting() == (Waiting("tiktok", State.PENDING, 2 * each, NOW),)
    assert await store.history.waiting_value("tiktok") == {}
    claims = await store.claim("tiktok", 1_000, LEASE, NOW)
    await store.settle([delivered(claim) for claim in claims], NOW, REQUEST)
    assert await store.history.attempts(claims[0].id) == (REQUEST,)
    found = await store.history.outcomes(NOW, NOW + DAY, ())
    assert sum(one.count for one in found) == BACKLOG
    assert {one.currency for one in found} == {None}
    await store.close()


# Threads and sizes


async def test_deliveries_do_not_wait_for_a_report(store: SqliteStore) -> None:
    await store.append([event("a")])
    begun, go_on = threading.Event(), threading.Event()

    def hang(_: apsw.Connection) -> bool:
        begun.set()
        return go_on.wait(20)

    reading = asyncio.create_task(store.history.reader.run(hang))
    await asyncio.to_thread(begun.wait, 20)
    assert await store.next_due("tiktok") == NOW
    (claim,) = await claimed(store)
    assert await store.settle([delivered(claim)], NOW) == 1
    assert not reading.done()
    go_on.set()
    assert await reading


async def test_the_history_is_not_read_while_somebody_is_forgotten(store: SqliteStore) -> None:
    """A snapshot would keep the log, and with it what was erased."""
    async with store.history.turn:
        reading = asyncio.create_task(store.history.outcomes(NOW, NOW + DAY, ()))
        forgetting = asyncio.create_task(store.forget({"ann"}, None, NOW))
        for _ in range(100):  # many more turns of the threads than forgetting takes
            await store.totals()
        assert not reading.done()
        assert not forgetting.done()
    await reading
    await forgetting


async def test_every_commit_is_timed(path: Path) -> None:
    told: list[float] = []
    store = await open_store(path, Sealer([KEY]), commit_seconds=told.append)
    await store.append([event("a")])
    await store.append([event("b")])
    await store.close()
    assert len(told) == store.load.commits == 2
    assert min(told) > 0


async def test_sizes_are_those_of_the_files(path: Path, store: SqliteStore) -> None:
    await store.append([event("a")])
    sizes = await store.history.sizes()
    assert sizes.keys() == {"database", "log", "disk_free", "disk_size"}
    assert 0 < sizes["disk_free"] <= sizes["disk_size"]
    assert sizes["database"] == size(path)
    assert sizes["log"] == size(path.with_name("relay.db-wal")) > 0


async def test_sizes_of_files_that_are_gone_are_not_guessed(
    path: Path, store: SqliteStore
) -> None:
    away = await asyncio.to_thread(path.rename, path.with_name("away"))
    with pytest.raises(StoreUnavailable):
        await store.history.sizes()
    await asyncio.to_thread(away.rename, path)


# What waits, whatever happened


CAUSES = st.sampled_from(
    [Cause.DEFERRED, Cause.UNKNOWN, Cause.ACCEPTED, Cause.REFUSED, Cause.CREDENTIALS]
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 3)),
        st.tuples(st.just("claim"), st.integers(1, 4)),
        st.tuples(st.just("probe"), st.just(1)),
        st.tuples(st.just("settle"), st.tuples(st.integers(0, 9), CAUSES, st.integers(0, 9))),
        st.tuples(st.just("release"), st.just(1)),
        st.tuples(st.just("replay"), st.just(1)),
        st.tuples(st.just("restart"), st.just(1)),
    ),
    max_size=20,
)


def end(claim: ClaimedDelivery, cause: Cause, leases: int) -> Settlement:
    state = LIFE[State.CLAIMED, cause]
    due_at = NOW + leases * LEASE if state is State.PENDING else None
    return Settlement(claim.id, claim.fence, Transition(state, cause, due_at))


async def replay(store: SqliteStore, number: int) -> None:
    kept = (await store.select(Selection(frozenset({State.DEAD})), 0, 100)).events
    again = [Requeue(one.id, one.deliveries[0].record) for one in kept]
    await store.requeue(again, NOW + number * LEASE / 2)


async def take(
    store: SqliteStore, step: tuple[str, object], number: int, claims: list[ClaimedDelivery]
) -> None:
    now = NOW + number * LEASE / 2
    match step:
        case ("append", int() as count):
            names = [f"m{number}-{position}" for position in range(count)]
            events = [event(n, delivery(n, envelope=(WEB, APP)[count % 2])) for n in names]
            await store.append([replace(one, received_at=now) for one in events])
        case ("claim", int() as limit):
            claims += await store.claim("tiktok", limit, LEASE, now)
        case ("probe", _):
            claims += await store.claim_probe("tiktok", LEASE, now)
        case ("settle", (int() as which, Cause() as cause, int() as leases)) if claims:
            claim = claims.pop(which % len(claims))
            await store.settle([end(claim, cause, number + leases)], now)
        case ("release", _):
            await store.release("tiktok", now)
        case ("replay", _):
            await replay(store, number)
        case _:
            pass


async def follow(path: Path, steps: Sequence[tuple[str, object]]) -> None:
    """Each step half a lease later than the one before."""
    store = await open_store(path, Sealer([KEY]))
    claims: list[ClaimedDelivery] = []
    for number, step in enumerate(steps):
        if step[0] == "restart":
            await store.close()
            store = await open_store(path, Sealer([KEY]))
        else:
            await take(store, step, number, claims)
        assert await store.history.waiting() == waiting(path)
    await store.close()


def waiting(path: Path) -> tuple[Waiting, ...]:
    """Counted row by row."""
    found = rows(
        path,
        "SELECT destination, state, count(*), min(accepted_at) FROM deliveries JOIN envelopes "
        "ON envelopes.id = deliveries.envelope WHERE state IN ('pending', 'claimed', 'held') "
        "GROUP BY 1, 2 ORDER BY 1, 2",
    )
    return tuple(
        Waiting(str(name), State(state), int(str(count)), nearest_moment(int(str(oldest))))
        for name, state, count, oldest in found
    )


@settings(max_examples=40, deadline=timedelta(seconds=20))
@given(STEPS)
def test_the_oldest_that_waits_is_the_oldest(steps: list[tuple[str, object]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(follow(Path(folder) / "relay.db", steps))


def test_what_waits_is_found_without_reading_what_waits(raw: apsw.Connection) -> None:
    with transaction(raw):
        raw.execute("INSERT INTO envelopes VALUES (1, 'tiktok', ?)", (WEB,))
    plan = raw.execute(f"EXPLAIN QUERY PLAN {QUERIES['waiting']}").fetchall()
    steps = [str(row[3]) for row in plan if "deliveries" in str(row[3])]
    assert sorted(steps) == [
        "SEARCH deliveries USING COVERING INDEX deliveries_put_off (envelope=? AND state=?)",
        "SEARCH deliveries USING INDEX deliveries_claimed (claimed_at>?)",
        "SEARCH deliveries USING INDEX deliveries_due (envelope=? AND due_at>?)",
        "SEARCH deliveries USING INDEX deliveries_put_off (envelope=? AND state=?)",
    ]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("release", "deliveries_put_off (envelope=? AND state=?)"),
        ("release_claims", "deliveries_claimed"),
        ("answers", "requests_age (sent_at>? AND sent_at<?)"),
        ("newest_requests", "requests_age (sent_at>? AND sent_at<?)"),
        ("outcomes", "events_age (disposition=? AND received_at>? AND received_at<?)"),
        ("waiting_value", "deliveries_due (envelope=? AND due_at>?)"),
        ("held_value", "deliveries_put_off (envelope=? AND state=? AND accepted_at>?)"),
        ("expire_requests", "requests_age (sent_at<?)"),
    ],
)
def test_a_page_is_found_by_its_index(raw: apsw.Connection, query: str, index: str) -> None:
    given = dict.fromkeys(
        ["now", "destination", "since", "until", "step", "at", "id", "limit", "canary", "bounds",
         "envelope", "oldest"], 1,
    )  # fmt: skip
    plan = raw.execute(f"EXPLAIN QUERY PLAN {QUERIES[query]}", given).fetchall()
    steps = [str(row[3]) for row in plan]
    assert any(index in step for step in steps), steps
    assert not any(step in {"SCAN deliveries", "SCAN events", "SCAN requests"} for step in steps)
