"""The embedded store while its disk fails: delivery goes on, and nothing it knew is forgotten."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.delivery import LIFE, Cause, State, Transition
from conversion_relay.core.lane import Condition
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.embedded.connection import open_writing
from conversion_relay.service.store.embedded.ownership import field, own
from conversion_relay.service.store.embedded.standing import Standing
from conversion_relay.service.store.port import ClaimedDelivery, LaneRecord, Settlement
from conversion_relay.service.store.sqlite import Limits, SqliteStore, open_store
from conversion_relay.service.store.sqlite.claims import Batch
from conversion_relay.service.store.sqlite.marker import Marker
from conversion_relay.service.store.sqlite.standby import Standby
from conversion_relay.service.store.times import to_microseconds
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event, retried
from support.disk import BROKEN, FULL, READ_ONLY, Disk, failing_disk

SECOND = timedelta(seconds=1)
HELD = Transition(State.HELD, Cause.CREDENTIALS, reason="token refused")
PATIENCE_SECONDS = 20


@pytest.fixture
def disk(path: Path) -> Iterator[Disk]:
    """Under the database, working."""
    path.parent.mkdir(parents=True)
    with failing_disk(path.parent) as disk:
        yield disk


@pytest.fixture
async def store(path: Path, disk: Disk) -> AsyncIterator[SqliteStore]:
    """An open store with three events; the disk is mended at the end."""
    store = await open_store(path, Sealer([KEY]))
    await store.append([event(name) for name in "abc"])
    yield store
    disk.fault = None
    with suppress(StoreUnavailable):
        await store.close()


async def claimed(store: SqliteStore, limit: int, now: datetime = NOW) -> list[ClaimedDelivery]:
    return list(await store.claim("tiktok", limit, LEASE, now))


async def mend(store: SqliteStore, disk: Disk) -> None:
    """An append is tried at once; that recovery needs none is shown elsewhere."""
    disk.fault = None
    await store.append([event("after")])
    assert store.trouble() is None


async def states(store: SqliteStore) -> dict[str, State]:
    return {record.message_id: record.state for record in await store.deliveries([*"abc"])}


def mark(path: Path) -> str:
    return path.with_name("relay.db.lock").read_text().partition("\n")[2].strip()


@pytest.mark.parametrize("fault", [FULL, BROKEN, READ_ONLY])
async def test_delivery_goes_on_and_is_written_down_later(
    store: SqliteStore, disk: Disk, fault: apsw.Error
) -> None:
    before = await claimed(store, 1)
    disk.fault = fault
    meanwhile = await claimed(store, 1)
    assert [one.message_id for one in before + meanwhile] == ["a", "b"]
    assert (meanwhile[0].body, meanwhile[0].attempts) == (b'{"event_id":"b"}', 1)
    assert await store.settle([delivered(one) for one in before + meanwhile], NOW) == 2
    with pytest.raises(StoreUnavailable, match="SQLite answered"):
        await store.append([event("new")])
    assert store.trouble() is not None
    assert State.DELIVERED not in (await states(store)).values()  # reports lag behind
    await mend(store, disk)
    assert await states(store) == {
        "a": State.DELIVERED,
        "b": State.DELIVERED,
        "c": State.PENDING,
    }
    assert (await store.append([event("new")])).accepted == 1


async def test_what_is_in_the_book_is_not_given_out_again(store: SqliteStore, disk: Disk) -> None:
    (before,) = await claimed(store, 1)
    disk.fault = FULL
    (first,) = await claimed(store, 1)
    assert await store.settle([retried(before, NOW), retried(first, NOW)], NOW) == 2
    later = NOW + 2 * LEASE
    assert [one.message_id for one in await claimed(store, 10, later)] == ["c"]
    assert await claimed(store, 10, later + LEASE) == []
    assert await store.next_due("tiktok") is None
    await mend(store, disk)
    again = await claimed(store, 10)
    assert [(one.message_id, one.attempts) for one in again] == [("a", 2), ("b", 2), ("after", 1)]


async def test_a_claim_that_ends_after_recovery_is_settled_as_any_other(
    store: SqliteStore, disk: Disk
) -> None:
    disk.fault = FULL
    first, second, _ = await claimed(store, 3)
    await mend(store, disk)
    assert set((await states(store)).values()) == {State.CLAIMED}
    assert await store.settle([delivered(first)], NOW) == 1
    again = {one.message_id: one for one in await claimed(store, 10, NOW + LEASE)}
    assert again.keys() == {"b", "c", "after"}
    assert (again["b"].attempts, again["b"].first_unknown_at) == (2, NOW)
    assert await store.settle([delivered(second)], NOW) == 0


async def test_an_end_counts_once_and_only_for_the_last_claim(
    store: SqliteStore, disk: Disk
) -> None:
    late, *_ = await claimed(store, 3)
    disk.fault = FULL
    current, *_ = await claimed(store, 3, NOW + LEASE)
    assert current.id == late.id
    assert (current.attempts, current.first_unknown_at) == (2, NOW)
    assert await store.settle([retried(late, NOW)], NOW) == 0
    assert await store.settle([delivered(current), delivered(current)], NOW) == 1
    assert await store.settle([retried(current, NOW)], NOW) == 0
    await mend(store, disk)
    assert (await states(store))["a"] is State.DELIVERED


async def test_a_late_end_does_not_keep_out_the_true_one(store: SqliteStore, disk: Disk) -> None:
    late, *_ = await claimed(store, 3)
    current, *_ = await claimed(store, 3, NOW + LEASE)
    disk.fault = FULL
    await store.settle([retried(late, NOW)], NOW + LEASE)
    assert await store.settle([delivered(current)], NOW + LEASE) == 1
    await mend(store, disk)
    assert (await states(store))["a"] is State.DELIVERED


async def test_a_held_delivery_is_probed_and_its_lane_goes_on(
    store: SqliteStore, disk: Disk
) -> None:
    held = [Settlement(one.id, one.fence, HELD) for one in await claimed(store, 3)]
    await store.settle(held, NOW)
    disk.fault = FULL
    (probe,) = await store.claim_probe("tiktok", LEASE, NOW)
    assert (probe.message_id, probe.attempts) == ("a", 1)
    assert await store.settle([delivered(probe)], NOW) == 1
    lane = LaneRecord("tiktok", "abc", Condition.FLOWING, NOW, None)
    await store.keep_lane(lane)
    assert await store.release("tiktok", NOW + SECOND) == 0
    assert await store.lanes() == ()
    await mend(store, disk)
    assert await store.lanes() == (lane,)
    assert [*(await states(store)).values()] == [State.DELIVERED, State.PENDING, State.PENDING]


async def test_a_long_book_is_written_in_portions(
    path: Path, store: SqliteStore, disk: Disk
) -> None:
    """Those that fit stay written; the rest, and the mark, stay until there is room for all."""
    await store.append([event(f"m{number}") for number in range(6_000)])
    disk.fault = FULL
    while claims := await claimed(store, 1_000):
        await store.settle([delivered(one) for one in claims], NOW)
    raw = apsw.Connection(str(path))
    disk.fault = None
    raw.set_busy_timeout(1_000 * PATIENCE_SECONDS)
    raw.execute(
        "CREATE TRIGGER full_disk BEFORE UPDATE ON deliveries "
        "WHEN OLD.id = 5500 AND NEW.state = 'claimed' BEGIN SELECT RAISE(ABORT, 'no room'); END"
    )
    with pytest.raises(StoreUnavailable):
        await store.append([event("after")])
    assert raw.execute("SELECT count(*) FROM deliveries WHERE state = 'claimed'").get == 5_000
    assert mark(path) != ""
    assert await claimed(store, 10) == [], "the book is whole"
    raw.execute("DROP TRIGGER full_disk")
    assert (await store.append([event("after")])).accepted == 1
    assert mark(path) == ""
    assert (await store.totals()).deliveries == {
        ("tiktok", State.DELIVERED): 6_003, ("tiktok", State.PENDING): 1,
    }  # fmt: skip
    raw.close()


async def test_the_book_brings_nobody_back_who_was_forgotten(
    store: SqliteStore, disk: Disk
) -> None:
    """Nobody can be forgotten while nothing can be written; claims and ends in the book are."""
    await store.append([replace(event(name), subjects=("user",)) for name in ("u", "v", "w")])
    disk.fault = FULL
    claims = await claimed(store, 5)
    await store.settle([retried(claims[3], NOW)], NOW)
    with pytest.raises(StoreUnavailable):
        await store.forget({"user"}, None, NOW)
    disk.fault = None
    forgotten = await store.forget({"user"}, None, NOW)
    assert forgotten.deliveries == {State.CLAIMED: 1, State.PENDING: 2}
    assert await store.settle([delivered(claims[4])], NOW) == 0
    later = await claimed(store, 10, NOW + 2 * LEASE)
    assert [one.message_id for one in later] == [*"abc"]


async def test_recovery_needs_no_traffic(store: SqliteStore, disk: Disk) -> None:
    disk.fault = BROKEN
    claims = await claimed(store, 3)
    await store.settle([delivered(one) for one in claims], NOW)
    disk.fault = None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while store.trouble() is not None:  # noqa: ASYNC110 - the writer is another thread
            await asyncio.sleep(0.01)
    assert set((await states(store)).values()) == {State.DELIVERED}


async def test_the_mark_is_there_from_the_first_claim_until_all_is_written(
    path: Path, store: SqliteStore, disk: Disk
) -> None:
    (before,) = await claimed(store, 1)
    disk.fault = FULL
    await store.settle([delivered(before)], NOW)
    assert mark(path) == ""  # the database knows of that claim
    await claimed(store, 1)
    first = mark(path)
    assert int(first) > 0
    await claimed(store, 1, NOW + SECOND)
    assert mark(path) == first
    await mend(store, disk)
    assert mark(path) == ""


async def test_a_second_failure_begins_a_new_book_and_a_new_mark(
    path: Path, store: SqliteStore, disk: Disk
) -> None:
    disk.fault = FULL
    claims = await claimed(store, 3)
    await store.settle([retried(one, NOW) for one in claims], NOW)
    await mend(store, disk)
    disk.fault = BROKEN
    again = await claimed(store, 3, NOW + SECOND)
    assert [(one.message_id, one.attempts) for one in again] == [("a", 2), ("b", 2), ("c", 2)]
    assert int(mark(path)) == to_microseconds(NOW + SECOND)


async def test_an_end_without_recovery_leaves_everything_suspect(
    path: Path, store: SqliteStore, disk: Disk
) -> None:
    disk.fault = FULL
    claims = await claimed(store, 1)
    await store.settle([delivered(claims[0])], NOW)
    with pytest.raises(StoreUnavailable):
        await store.close()
    assert int(mark(path)) > 0
    disk.fault = None
    again = await open_store(path, Sealer([KEY]))
    found = await claimed(again, 10, NOW + LEASE)
    assert [(one.message_id, one.first_unknown_at) for one in found] == [
        (name, NOW) for name in "abc"
    ]
    assert mark(path) == ""
    await again.append([event("new")])
    (new,) = await claimed(again, 10, NOW + LEASE)
    assert new.first_unknown_at is None
    await again.close()


async def test_an_end_after_recovery_is_a_clean_one(
    path: Path, store: SqliteStore, disk: Disk
) -> None:
    disk.fault = FULL
    claims = await claimed(store, 1)
    await store.settle([delivered(claims[0])], NOW)
    disk.fault = None
    await store.close()  # the last transaction writes the book
    assert path.with_name("relay.db.lock").read_bytes() == b""
    again = await open_store(path, Sealer([KEY]))
    found = await claimed(again, 10)
    assert [(one.message_id, one.first_unknown_at) for one in found] == [("b", None), ("c", None)]
    await again.close()


@pytest.mark.parametrize("name", ["relay.db", "relay.db-wal", "relay.db.lock"])
async def test_nothing_goes_on_with_files_that_are_gone(
    path: Path, store: SqliteStore, disk: Disk, name: str
) -> None:
    claims = await claimed(store, 1)
    disk.fault = FULL
    await claimed(store, 1)
    path.with_name(name).rename(path.with_name("aside"))
    for attempt in (claimed(store, 1), store.settle([delivered(claims[0])], NOW)):
        with pytest.raises(StoreUnavailable, match="replaced or removed"):
            await attempt
    path.with_name("aside").rename(path.with_name(name))


async def test_a_database_that_another_program_holds_is_waited_for(
    path: Path, store: SqliteStore
) -> None:
    other = apsw.Connection(str(path))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another program holds"):
        await claimed(store, 1)
    other.close()
    assert len(await claimed(store, 3)) == 3


async def test_the_book_has_a_bound(path: Path, disk: Disk) -> None:
    store = await open_store(path, Sealer([KEY]), Limits(standby_deliveries=2))
    await store.append([event(name) for name in "abc"])
    disk.fault = FULL
    claims = await claimed(store, 1)
    await store.settle([retried(claims[0], NOW)], NOW)
    claims = await claimed(store, 1)
    with pytest.raises(StoreUnavailable, match="too much was sent"):
        await claimed(store, 2)
    assert await store.settle([delivered(one) for one in claims], NOW) == 1
    await mend(store, disk)
    assert [one.message_id for one in await claimed(store, 9)] == ["a", "c", "after"]
    await store.close()


def test_without_a_mark_nothing_is_sent(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True)
    connection = open_writing(path, None)
    connection.execute("CREATE TABLE t (x)")
    path.with_name("relay.db.lock").touch()
    lock = os.open(path.with_name("relay.db.lock"), os.O_RDONLY)
    marker = Marker(lock, tmp_path / "no such folder" / "mark")
    standby = Standby(marker, Standing.take(path), 10)
    connection.execute(_ENOUGH_OF_THE_SCHEMA)
    with pytest.raises(StoreUnavailable, match="not even a mark"):
        standby.claim(connection, Batch("tiktok", 1), LEASE, NOW)
    assert standby.kept_back == "[]"
    connection.close()
    os.close(lock)


_ENOUGH_OF_THE_SCHEMA = """
CREATE TABLE events (id, source, message_id);
CREATE TABLE envelopes (id, destination, envelope);
CREATE TABLE deliveries (
    id, event, envelope, mapping, event_name, event_id, accepted_at, state, attempts, fence,
    due_at, claimed_at, first_unknown_at, body
);
INSERT INTO envelopes VALUES (1, 'tiktok', 'web');
INSERT INTO deliveries VALUES (1, 1, 1, 'm', 'e', 'i', 0, 'pending', 0, 0, 0, NULL, NULL, 'b');
"""


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Marker]:
    """With a lock file that can be written."""
    (tmp_path / "relay.db").touch()
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield Marker.of(tmp_path / "relay.db", lock, tmp_path)
    os.close(lock)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Marker]:
    """With a lock file that cannot."""
    (tmp_path / "relay.db").touch()
    (tmp_path / "lock").touch()
    lock = os.open(tmp_path / "lock", os.O_RDONLY)
    yield Marker.of(tmp_path / "relay.db", lock, tmp_path)
    os.close(lock)


def second_place(marker: Marker) -> Path:
    assert marker.file is not None
    return marker.file


def test_without_a_second_place_only_the_lock_file_is_tried(
    marker: Marker, elsewhere: Marker, tmp_path: Path
) -> None:
    alone = Marker.of(tmp_path / "relay.db", marker.lock, None)
    alone.put(17)
    assert (alone.read(), marker.read()) == (17, 17)
    alone.clear()
    assert alone.read() is None
    nowhere = Marker.of(tmp_path / "relay.db", elsewhere.lock, None)
    with pytest.raises(OSError, match="Bad file descriptor"):
        nowhere.put(17)


@pytest.mark.parametrize("which", ["marker", "elsewhere"])
def test_a_mark_is_found_until_it_is_cleared(request: pytest.FixtureRequest, which: str) -> None:
    marker: Marker = request.getfixturevalue(which)
    assert marker.read() is None
    marker.put(17)
    assert marker.read() == 17
    assert second_place(marker).exists() == (which == "elsewhere")
    marker.put(18)
    assert marker.read() == 18
    marker.clear()
    assert marker.read() is None
    assert not second_place(marker).exists()


def test_the_second_place_is_private_and_of_one_database(
    elsewhere: Marker, tmp_path: Path
) -> None:
    elsewhere.put(17)
    assert second_place(elsewhere).stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other.db"
    other.touch()
    assert Marker.of(other, elsewhere.lock, tmp_path).read() is None
    (tmp_path / "link.db").symlink_to(tmp_path / "relay.db")
    assert Marker.of(tmp_path / "link.db", elsewhere.lock, tmp_path).read() == 17


def test_what_is_no_whole_mark_of_ours_is_none(elsewhere: Marker, tmp_path: Path) -> None:
    second_place(elsewhere).write_bytes(field(17)[:-3])
    assert elsewhere.read() is None
    (tmp_path / "planted").write_bytes(field(17))
    second_place(elsewhere).unlink()
    second_place(elsewhere).symlink_to(tmp_path / "planted")
    assert elsewhere.read() is None
    elsewhere.put(18)
    assert (tmp_path / "planted").read_bytes() == field(17)
    assert elsewhere.read() == 18


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_the_file_of_somebody_else_is_no_mark(elsewhere: Marker) -> None:
    elsewhere.put(17)
    os.chown(second_place(elsewhere), 65_534, 65_534)
    assert elsewhere.read() is None


def test_an_end_with_a_mark_is_no_clean_one(path: Path) -> None:
    ownership = own(path)
    marker = Marker.of(path, ownership.lock, path.parent)
    marker.put(17)
    ownership.release()
    again = own(path)
    assert again.unclean
    assert Marker.of(path, again.lock, path.parent).read() == 17
    again.abandon()


CAUSES = st.sampled_from([Cause.ACCEPTED, Cause.DEFERRED, Cause.CREDENTIALS, Cause.REFUSED])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("disk"), st.sampled_from([None, FULL, BROKEN])),
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("claim"), st.integers(1, 4)),
        st.tuples(st.just("probe"), st.just(1)),
        st.tuples(st.just("settle"), st.tuples(st.integers(0, 40), CAUSES)),
    ),
    max_size=30,
)


class Model:
    """What was acknowledged, given out and ended."""

    def __init__(self, store: SqliteStore, disk: Disk) -> None:
        self.store = store
        self.disk = disk
        self.kept: list[str] = []
        self.given: list[ClaimedDelivery] = []
        self.ended: dict[str, State] = {}

    async def step(self, step: tuple[str, object], now: datetime) -> None:
        """Whatever is given out must not have ended for good."""
        match step:
            case ("disk", fault):
                assert fault is None or isinstance(fault, apsw.Error)
                self.disk.fault = fault
            case ("append", int() as many):
                await self._append(many)
            case ("claim", int() as limit):
                self._take(await self.store.claim("tiktok", limit, LEASE, now))
            case ("probe", 1):
                self._take(await self.store.claim_probe("tiktok", LEASE, now))
            case ("settle", (int() as which, Cause() as cause)) if self.given:
                await self._settle(self.given[which % len(self.given)], cause, now)
            case _:
                pass

    async def _append(self, many: int) -> None:
        names = [f"m{len(self.kept) + number}" for number in range(many)]
        try:
            await self.store.append([event(name) for name in names])
        except StoreUnavailable:
            assert self.disk.fault is not None
        else:
            assert self.disk.fault is None
            self.kept += names

    def _take(self, claims: tuple[ClaimedDelivery, ...]) -> None:
        known = {(one.id, one.fence) for one in self.given}
        for one in claims:
            assert (one.id, one.fence) not in known
            assert self.ended.get(one.message_id) not in {State.DELIVERED, State.DEAD}
        self.given += claims

    async def _settle(self, claim: ClaimedDelivery, cause: Cause, now: datetime) -> None:
        state = LIFE[State.CLAIMED, cause]
        due_at = now if state is State.PENDING else None
        end = Settlement(claim.id, claim.fence, Transition(state, cause, due_at))
        counted = await self.store.settle([end], now)
        if counted and claim is [one for one in self.given if one.id == claim.id][-1]:
            self.ended[claim.message_id] = state


@given(STEPS)
def test_however_the_disk_comes_and_goes_nothing_is_forgotten(
    steps: list[tuple[str, object]],
) -> None:
    async def main(folder: Path, disk: Disk) -> None:
        store = await open_store(folder / "relay.db", Sealer([KEY]))
        model = Model(store, disk)
        for number, step in enumerate(steps):
            await model.step(step, NOW + number * LEASE / 2)
        disk.fault = None
        await store.append([event("last")])
        records = {one.message_id: one for one in await store.deliveries([*model.kept])}
        assert records.keys() == set(model.kept)
        for name, state in model.ended.items():
            goes_on = {State.CLAIMED} if state in {State.PENDING, State.HELD} else set()
            assert records[name].state in {state, *goes_on}
        await store.close()

    with TemporaryDirectory() as folder, failing_disk(Path(folder)) as disk:
        asyncio.run(main(Path(folder), disk))
