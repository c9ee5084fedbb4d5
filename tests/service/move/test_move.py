"""A move brings everything, wherever it is cut off, and leaves one of the two to be served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from conversion_relay.errors import ConfigurationError, DatabaseInUse, RelayError, StoreUnavailable
from conversion_relay.service.move.parts import Part
from conversion_relay.service.move.transfer import Move, Moved
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.embedded.connection import open_writing
from conversion_relay.service.store.moving import MoveStanding, Row, Target
from conversion_relay.service.store.port import Selection, Store
from conversion_relay.service.store.postgres import Address, Arriving, open_target
from conversion_relay.service.store.postgres import open_store as open_postgres
from conversion_relay.service.store.sqlite import Leaving, open_origin, open_store
from service.store.examples import event
from support.full_store import NOW, answers, differing, fill
from support.postgres import new_database

OLD, NEW = bytes(range(32)), bytes(32)
_OF_USER = {
    "a": b'{"userId":"user-1"}',
    "b": b'{"userId":"user-2"}',
    "c": b'{"userId":"x","anonymousId":"user-1"}',
}
PLACE = "postgresql://relay@db/relay"


@dataclass(frozen=True)
class Both:
    """An old database and a new one, closed."""

    path: Path
    url: str

    @asynccontextmanager
    async def old(self) -> AsyncIterator[Store]:
        """The old store, opened for service."""
        store = await open_store(self.path, Sealer([OLD]))
        yield store
        await store.close()

    @asynccontextmanager
    async def new(self) -> AsyncIterator[Store]:
        """The new one."""
        address = Address(self.url, weak_durability=True)
        store = await open_postgres(address, Sealer([NEW]))
        yield store
        await store.close()

    @asynccontextmanager
    async def ends(self) -> AsyncIterator[tuple[Leaving, Arriving]]:
        """Both, opened for a move."""
        address = Address(self.url, weak_durability=True)
        target = await open_target(address, Sealer([NEW]), PLACE)
        try:
            origin = open_origin(self.path, Sealer([OLD]), NOW + timedelta(hours=6))
            try:
                yield origin, target
            finally:
                origin.close()
        finally:
            await target.close()

    async def move(self, place: str = PLACE) -> Moved:
        """All of it."""
        async with self.ends() as (origin, target):
            return await whole(origin, target, place).run()


def whole(origin: Leaving, target: Target, place: str = PLACE) -> Move:
    def passed(_: Part, __: int) -> None:
        """Nobody waits."""

    return Move(origin, target, place, lambda: "old-1", passed)


@dataclass
class Cut:
    """The new end, which fails once: at this call, before or after it was done."""

    target: Arriving
    at: int
    is_late: bool
    calls: int = 0

    @property
    def sealer(self) -> Sealer:
        """As it is."""
        return self.target.sealer

    def id_of(self, received_at: int, number: int) -> int:
        """As it is."""
        return self.target.id_of(received_at, number)

    async def standing(self, origin: str | None) -> MoveStanding | None:
        """As it is."""
        return await self.target.standing(origin)

    async def counts(self) -> Mapping[str, int]:
        """As they are."""
        return await self.target.counts()

    async def begin(self, origin: str) -> None:
        """Unless it fails."""
        with self._cutting():
            await self.target.begin(origin)

    async def keep(self, origin: str, rows: Mapping[str, Sequence[Row]], progress: str) -> None:
        """Unless it fails."""
        with self._cutting():
            await self.target.keep(origin, rows, progress)

    async def finish(self, origin: str, last_numbers: tuple[int, int]) -> None:
        """Unless it fails."""
        with self._cutting():
            await self.target.finish(origin, last_numbers)

    def _cutting(self) -> _Cutting:
        self.calls += 1
        return _Cutting(self.calls == self.at and not self.is_late, self.calls == self.at)


@dataclass
class _Cutting:
    before: bool
    after: bool

    def __enter__(self) -> None:
        if self.before:
            raise StoreUnavailable("cut off")

    def __exit__(self, *_: object) -> None:
        if self.after:
            raise StoreUnavailable("cut off")


@pytest.fixture
async def both(tmp_path: Path) -> Both:
    return Both(tmp_path / "relay.db", await asyncio.to_thread(new_database))


async def filled(both: Both, seed: int, events: int = 150) -> dict[str, object]:
    async with both.old() as store:
        await fill(store, seed, events)
    async with both.old() as store:  # claims of the one before are released by now
        return await answers(store)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_everything_is_there(both: Both, seed: int) -> None:
    before = await filled(both, seed)
    moved = await both.move()
    async with both.new() as store:
        after = await answers(store)
    for name in differing(before, after):
        assert before[name] == after[name], name
    assert moved.closed == {}


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_move_that_is_cut_off_anywhere_goes_on(both: Both, is_late: bool) -> None:
    before = await filled(both, 4)
    cuts, is_done = 0, False
    while not is_done:
        async with both.ends() as (origin, target):
            cut = Cut(target, 1 if cuts == 0 else 2 if is_late else 3, is_late)
            try:
                await whole(origin, cut).run()
                is_done = True
            except StoreUnavailable:
                cuts += 1
        if not is_done:
            with pytest.raises(ConfigurationError, match="not finished"):
                async with both.old():
                    pass
        assert cuts < 60
    assert cuts > 10
    async with both.new() as store:
        assert differing(before, await answers(store)) == []


async def test_no_node_serves_half_of_it(both: Both) -> None:
    await filled(both, 5)
    async with both.ends() as (origin, target):
        with pytest.raises(StoreUnavailable):
            await whole(origin, Cut(target, 4, is_late=True)).run()
    with pytest.raises(ConfigurationError, match="a move into this database is not finished"):
        async with both.new():
            pass
    await both.move()
    async with both.new():
        pass


async def test_the_old_one_is_not_served_any_more_until_that_is_undone(both: Both) -> None:
    await filled(both, 6, 20)
    await both.move()
    with pytest.raises(ConfigurationError, match="was moved to postgresql://relay@db/relay"):
        async with both.old():
            pass
    again = await both.move()
    assert again.was_done
    with pytest.raises(ConfigurationError, match="was moved to postgresql://relay@db/relay"):
        await both.move("postgresql://elsewhere/relay")
    async with both.ends() as (origin, _):
        origin.set_mark(None)
    async with both.old() as store:
        assert (await store.append([event("new")])).accepted == 1
    with pytest.raises(ConfigurationError, match="holds data already"):
        await both.move()


async def test_a_copy_of_an_old_event_is_recognised_and_new_ids_are_new(both: Both) -> None:
    old = [event(f"e{number}", received_at=NOW) for number in range(5)]
    gone = event("gone", received_at=NOW - timedelta(days=3))
    async with both.old() as store:
        await store.append([*old, gone])
    await both.move()
    async with both.new() as store:
        receipt = await store.append([*old, gone, event("other", received_at=NOW)])
        assert receipt.fresh == (False,) * 6 + (True,)
        page = await store.before_newest(1)
        kept = await store.known([("default", "e4"), ("default", "other")])
        assert kept[0] is not None
        assert kept[1] is not None
        assert kept[1] > kept[0]
        assert page == kept[0]


@pytest.mark.parametrize(
    "hashes",
    [
        "DELETE FROM event_subjects",
        "UPDATE event_subjects SET hashes = randomblob(length(hashes))",
    ],
    ids=["none", "of a key that is gone"],
)
async def test_an_older_event_still_says_itself_whose_it_is(both: Both, hashes: str) -> None:
    """Its hashes are missing, or were made with a key that was replaced."""
    async with both.old() as store:
        old = [event(name, original=_OF_USER[name]) for name in "abc"]
        await store.append([replace(one, subjects=("somebody",)) for one in old])
    connection = open_writing(both.path, None)
    connection.execute(hashes)
    connection.execute("UPDATE subject_key SET first_event = 4")  # as if it were made after these
    connection.close()
    async with both.old() as store:
        await store.append([replace(event("d"), subjects=("user-1",))])
    await both.move()
    async with both.new() as store:
        assert (await store.forget({"user-1"}, None, NOW)).events == 3
        left = [one.message_id for one in (await store.select(Selection(), 0, 10)).events]
        assert left == ["b"]


async def test_a_target_that_holds_something_is_refused(both: Both) -> None:
    await filled(both, 7, 10)
    async with both.new() as store:
        await store.append([event("here")])
    with pytest.raises(ConfigurationError, match="holds data already"):
        await both.move()
    async with both.old() as store:
        assert (await store.totals()).events


async def test_a_target_with_a_living_node_is_refused(both: Both) -> None:
    await filled(both, 8, 10)
    connection = await asyncpg.connect(both.url)
    await connection.execute(
        "INSERT INTO nodes VALUES ('n', 'all', '1', 'here', now(), now(), 0, NULL, '{}')"
    )
    await connection.close()
    with pytest.raises(ConfigurationError, match="a node works with"):
        await both.move()


async def test_an_old_one_in_use_is_refused(both: Both) -> None:
    async with both.old():
        with pytest.raises(DatabaseInUse):
            await both.move()


async def test_counts_that_differ_leave_it_unfinished(both: Both) -> None:
    await filled(both, 9, 30)
    async with both.ends() as (origin, target):
        with pytest.raises(StoreUnavailable):
            await whole(origin, Cut(target, 16, is_late=True)).run()
    connection = await asyncpg.connect(both.url)
    await connection.execute("DELETE FROM requests WHERE id = 1")
    await connection.close()
    with pytest.raises(RelayError, match="the counts of the two databases differ"):
        await both.move()
    with pytest.raises(ConfigurationError, match="not finished"):
        async with both.new():
            pass


async def test_counting_changes_nothing(both: Both) -> None:
    await filled(both, 10, 30)
    async with both.ends() as (origin, target):
        counts = await whole(origin, target).count()
    assert sum(count for name, count in counts.items() if name.startswith("events, ")) > 0
    async with both.old(), both.new():
        pass
