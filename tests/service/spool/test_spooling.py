"""A node whose database is away goes on taking events, and none is lost or counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import pytest
from typing_extensions import override

from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.errors import (
    ConfigurationError,
    DatabaseInUse,
    StoreBusy,
    StoreError,
    StoreUnavailable,
)
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.spool.spool import Spool, open_spool
from conversion_relay.service.spool.spooling import SpoolingStore
from conversion_relay.service.spool.through import Through
from conversion_relay.service.store.persons import Learned
from conversion_relay.service.store.port import (
    Disposition,
    Forgotten,
    LaneRecord,
    Load,
    NewEvent,
    Receipt,
    Store,
)
from conversion_relay.service.store.sqlite import open_store
from conversion_relay.service.surroundings import Surroundings
from support.lines import Lines

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
NOW = datetime(2026, 1, 10, tzinfo=UTC)
ROOM = 1024 * 1024
AWAY = StoreUnavailable("the database cannot be reached")


class Elsewhere(Through):
    """A database that can be away, busy, or unwilling to take certain events."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.away: StoreError | None = None
        self.read_only = False
        self.refused: frozenset[str] = frozenset()
        self.appends: list[list[str]] = []
        self.asked = 0

    @property
    def load(self) -> Load:
        """Nothing waits here."""
        return self._store.load

    def has_room(self, events: int, size_bytes: int) -> bool:
        """As the store says."""
        return self._store.has_room(events, size_bytes)

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """Unless it is away."""
        self.asked += 1
        ids = [event.message_id for event in events]
        if self.away is not None:
            raise self.away
        if self.read_only or not self.refused.isdisjoint(ids):
            raise StoreUnavailable("the database refused it")
        self.appends.append(ids)
        return await self._store.append(events)

    @override
    async def lanes(self) -> tuple[LaneRecord, ...]:
        if self.away is not None:
            raise self.away
        return await super().lanes()

    async def remembered(
        self, source: str, subjects: Sequence[str], now: datetime
    ) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """Unless it is away."""
        self.asked += 1
        if self.away is not None:
            raise self.away
        return await self._store.remembered(source, subjects, now)

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """As the store does."""
        return await self._store.forget(users, source, now)

    async def close(self) -> None:
        """Stays open for the test."""


@dataclass
class Bench:
    """A node with its spool, over a database elsewhere."""

    path: Path
    database: Elsewhere
    spool: Spool
    log: Lines
    store: SpoolingStore = field(init=False)

    def __post_init__(self) -> None:
        around = Surroundings(lambda: NOW, lambda: 0.5, Metrics(), self.log)
        self.store = SpoolingStore(self.database, self.spool, around)

    async def turn(self) -> None:
        """Let what forwards try once more."""
        await self.store.forwarding.turn()

    async def kept(self) -> dict[str, int]:
        """How many deliveries each event has in the database."""
        found = await self.database.deliveries([f"m{number}" for number in range(50)])
        return {one.message_id: 1 for one in found}


@asynccontextmanager
async def bench(folder: Path, key: bytes = KEY, room: int = ROOM) -> AsyncIterator[Bench]:
    store = await open_store(folder / "elsewhere.db", Sealer([KEY]))
    spool = await open_spool(folder / "own" / "spool.db", Sealer([key]), room)
    path = folder / "own" / "spool.db"
    here = Bench(path, Elsewhere(store), spool, Lines())
    yield here
    await here.store.close()
    await store.close()


def event(number: int, size: int = 10, **changes: str) -> NewEvent:
    planned = PlannedDelivery(
        "tiktok", "Order", "envelope", "PlaceAnOrder", f"m{number}", b"body" * size
    )
    return NewEvent(
        source=changes.get("source", "web"),
        message_id=f"m{number}",
        type="track",
        received_at=NOW + timedelta(seconds=number),
        original=b"{}",
        disposition=Disposition.PLANNED,
        deliveries=(planned,),
        subjects=(changes.get("user", "ada"),),
        learned=(Learned("tiktok", {"email": f"hash-{number}"}, NOW + timedelta(days=30)),),
    )


@pytest.mark.parametrize("trouble", [AWAY, StoreBusy("its queue is full")])
async def test_what_the_database_does_not_take_is_kept_and_forwarded_in_order(
    tmp_path: Path, trouble: StoreError
) -> None:
    async with bench(tmp_path) as here:
        here.database.away = trouble
        receipts = [await here.store.append([event(number)]) for number in (2, 1, 3)]
        assert [receipt.fresh for receipt in receipts] == [(True,)] * 3
        standing = here.store.spooled()
        assert (standing.events, standing.oldest) == (3, NOW + timedelta(seconds=1))
        assert await here.kept() == {}
        here.database.away = None
        await here.turn()
        assert here.database.appends == [["m2", "m1", "m3"]]
        assert here.store.spooled().events == 0
        assert await here.kept() == {"m1": 1, "m2": 1, "m3": 1}
        assert here.log.events == [
            "spool.database_refuses", "spool.database_is_back", "spool.forwarded",
        ]  # fmt: skip


async def test_a_copy_in_the_spool_is_recognised_by_the_ledger(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        await here.store.append([event(1)])
        here.database.away = AWAY
        receipt = await here.store.append([event(1), event(2), event(2)])
        assert receipt.fresh == (True, True, False)
        here.database.away = None
        await here.turn()
        totals = await here.database.totals()
        assert totals.events == {Disposition.PLANNED: 2}


async def test_nobody_waits_for_a_lost_database_twice(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        for number in range(5):
            await here.store.append([event(number)])
        assert here.database.asked == 1
        with pytest.raises(StoreUnavailable):
            await here.store.remembered("web", ["ada"], NOW)
        assert here.database.asked == 1
        assert here.store.has_room(1, 100)


async def test_younger_events_go_straight_while_older_ones_wait(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(1)])
        here.database.away = None
        here.database.refused = frozenset({"m1"})
        await here.turn()
        await here.store.append([event(2)])
        assert await here.kept() == {"m2": 1}
        assert here.store.refusal is None


async def test_what_the_database_refuses_stands_in_nobodys_way(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        for number in range(6):
            await here.store.append([event(number)])
        here.database.away = None
        here.database.refused = frozenset({"m0"})
        for _ in range(8):
            await here.turn()
        assert sorted(await here.kept()) == ["m1", "m2", "m3", "m4", "m5"]
        assert here.store.spooled().events == 1
        assert "spool.refused" in here.log.events
        here.database.refused = frozenset()
        await here.turn()
        assert here.store.spooled().events == 0


async def test_one_at_a_time_tries_a_database_that_answers_and_takes_nothing(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as here:
        here.database.read_only = True
        await here.store.append([event(1)])
        await here.turn()
        asked = here.database.asked
        await asyncio.gather(*(here.store.append([event(number)]) for number in (2, 3, 4)))
        assert here.database.asked == asked + 1
        assert here.store.spooled().events == 4


async def test_the_next_start_forwards_what_was_left(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(1), event(2)])
    async with bench(tmp_path) as here:
        assert here.store.spooled().events == 2
        await here.turn()
        assert await here.kept() == {"m1": 1, "m2": 1}
        remembered = await here.store.remembered("web", ["ada"], NOW)
        assert remembered == {"ada": {"tiktok": {"email": "hash-2"}}}


async def test_a_crash_before_the_removal_appends_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(1)])
        here.database.away = None
        records, _ = await here.spool.next(10)
        await here.database.append(records[0].events)
        await here.turn()
        assert here.database.appends == [["m1"], ["m1"]]
        totals = await here.database.totals()
        assert totals.events == {Disposition.PLANNED: 1}


async def test_what_cannot_be_opened_is_set_aside_told_and_kept(tmp_path: Path) -> None:
    async with bench(tmp_path, OTHER_KEY) as here:
        here.database.away = AWAY
        await here.store.append([event(1)])
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(2)])
        here.database.away = None
        await here.turn()
        assert await here.kept() == {"m2": 1}
        standing = here.store.spooled()
        assert (standing.events, standing.unreadable) == (1, 1)
        assert ("error", "spool.unreadable", {"events": 1}) in here.log.lines
    async with bench(tmp_path, OTHER_KEY) as here:
        await here.turn()
        assert await here.kept() == {"m1": 1, "m2": 1}


async def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with bench(tmp_path, room=3_000) as here:
        here.database.away = AWAY
        await here.store.append([event(1, size=500)])
        with pytest.raises(StoreUnavailable, match="the spool is full"):
            await here.store.append([event(2, size=800)])
        assert not here.store.has_room(1, 3_000)
        here.database.away = None
        await here.turn()
        assert await here.kept() == {"m1": 1}
        assert here.store.has_room(1, 3_000)


async def test_nothing_readable_lies_on_the_disk(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(1, user="lena@example.com")])
        files = b"".join(file.read_bytes() for file in here.path.parent.iterdir())
        assert b"lena" not in files
        assert b"bodybody" not in files
        assert here.path.parent.stat().st_mode & 0o077 == 0


async def test_forgetting_reaches_what_waits(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(1, user="ada"), event(2, user="bob")])
        with pytest.raises(StoreUnavailable):
            await here.store.forget({"ada"}, None, NOW)
        here.database.away = None
        forgotten = await here.store.forget({"ada"}, None, NOW)
        assert forgotten.events == 1
        assert await here.kept() == {"m2": 1}


async def test_many_at_once_share_a_commit_and_lose_none(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await asyncio.gather(*(here.store.append([event(number)]) for number in range(40)))
        records, _ = await here.spool.next(1_000)
        assert len(records) < 40
        assert sum(len(record.events) for record in records) == 40
        here.database.away = None
        await here.turn()
        assert len(await here.kept()) == 40


async def test_it_says_what_becomes_of_events(tmp_path: Path) -> None:
    async with bench(tmp_path, room=2_000) as here:
        assert here.store.stands_in() == "New events are kept in the spool, where 0 wait."
        here.database.away = AWAY
        await here.store.append([event(1, size=400)])
        assert here.store.stands_in() == "New events are kept in the spool, where 1 wait."


async def test_it_forwards_by_itself_as_long_as_it_runs(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        forwarding = asyncio.create_task(here.store.forwarding.run())
        await here.store.append([event(1)])
        here.database.away = None
        async with asyncio.timeout(5):
            while here.store.spooled().events:  # noqa: ASYNC110 - another task
                await asyncio.sleep(0.01)
        forwarding.cancel()
        assert await here.kept() == {"m1": 1}


async def test_one_process_owns_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        with pytest.raises(DatabaseInUse, match="already uses"):
            await open_spool(here.path, Sealer([KEY]), ROOM)


async def test_a_spool_that_is_lost_keeps_no_event_from_a_database_that_is_back(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(1)])
        hidden = here.path.rename(here.path.with_name("hidden"))
        here.database.away = None
        await here.turn()
        assert here.log.events[-2:] == ["spool.database_is_back", "spool.not_read"]
        await here.store.append([event(2)])
        assert await here.kept() == {"m1": 1, "m2": 1}
        hidden.rename(here.path)


async def test_a_spool_that_cannot_be_read_keeps_no_event_from_the_database(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        await here.store.append([event(1)])
        here.database.away = None
        table = apsw.Connection(str(here.path))
        table.execute("ALTER TABLE records RENAME TO lost")
        await here.turn()
        await here.store.append([event(2)])
        assert await here.kept() == {"m2": 1}
        table.execute("ALTER TABLE lost RENAME TO records")
        table.close()


async def test_a_place_where_none_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="is no folder"):
        await open_spool(tmp_path / "file" / "spool.db", Sealer([KEY]), ROOM)


async def test_a_later_release_s_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", 2)
    connection.close()
    with pytest.raises(ConfigurationError, match="a newer release wrote it"):
        await open_spool(path, Sealer([KEY]), ROOM)


async def test_a_disk_that_fails_is_told_and_then_over(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        here.database.away = AWAY
        aside = here.path.with_name("aside")
        here.path.rename(aside)
        with pytest.raises(StoreUnavailable, match="replaced or removed"):
            await here.store.append([event(1)])
        assert here.store.stands_in() is None
        aside.rename(here.path)
        await here.store.append([event(1)])
        assert here.store.spooled().events == 1
        assert here.store.stands_in() is not None
