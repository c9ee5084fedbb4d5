"""Forgetting in the file itself: no bytes stay, a kill harms nothing, and nobody waits long."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import orjson
import pytest
from typing_extensions import override

from conversion_relay.core.delivery import State
from conversion_relay.errors import ConfigurationError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.embedded.connection import open_writing, transaction
from conversion_relay.service.store.originals import SealedOriginals, open_originals
from conversion_relay.service.store.port import (
    Disposition,
    Forgotten,
    Learned,
    NewEvent,
    Retention,
    Selection,
)
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.store.sqlite.removal import remove
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, event
from service.store.test_sqlite_migrating import BACKLOG, first_release

NEW = bytes(32)
LEARNED = Learned("tiktok", {"email": "e" * 64, "phone": "p" * 64}, NOW + timedelta(days=30))
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.sqlite import open_store
from service.store.conftest import KEY
from service.store.examples import NOW

async def main():
    store = await open_store(Path(sys.argv[1]), Sealer([KEY]))
    forgetting = asyncio.create_task(store.forget({"u"}, None, NOW))
    before = (await store.totals()).events
    while (await store.totals()).events == before:
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def of(message_id: str, *subjects: str, size: int = 0) -> NewEvent:
    payload = dict(zip(("userId", "anonymousId"), subjects, strict=False))
    original = orjson.dumps({"type": "track", "note": message_id * size, **payload})
    return replace(event(message_id, original=original), subjects=subjects)


def sealed_values(path: Path, message_ids: str = "%") -> Iterator[bytes]:
    """What stands sealed in the database of these events, and match keys."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    yield from (row[0] for row in connection.execute(
        "SELECT body FROM deliveries JOIN events ON events.id = event WHERE message_id LIKE ?1 "
        "UNION ALL SELECT sealed FROM originals JOIN events ON events.id BETWEEN first_event "
        "AND last_event WHERE message_id LIKE ?1 UNION ALL SELECT sealed FROM match_keys",
        (message_ids,),
    ))  # fmt: skip
    connection.close()


def sealed_events(path: Path) -> list[str]:
    """The events of which an original stands in the database, read past the store."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    rows = connection.execute("SELECT first_event, last_event, sealed FROM originals")
    chunks = [SealedOriginals(*row) for row in rows]
    connection.close()
    sealer = Sealer([KEY])
    return [one.message_id for chunk in chunks for one in open_originals(chunk, sealer)]


def files_of(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(path.parent.glob("relay.db*")))


async def test_no_byte_of_a_user_stays_in_the_files(path: Path) -> None:
    """Not even sealed, neither in the database, nor in its unused pages, nor in the log."""
    store = await open_store(path, Sealer([KEY]))
    for begin in range(0, 300, 10):
        names = [f"{'u' if n % 3 else 'v'}{n}" for n in range(begin, begin + 10)]
        await store.append([of(one, one[0], size=200) for one in names])
    await store.append([replace(of("u-taught", "u", "a"), learned=(LEARNED,))])
    before = [*sealed_values(path, "u%")]
    assert len(before) > 200
    assert all(one[-64:] in files_of(path) for one in before)
    forgotten = await store.forget({"u"}, None, NOW)
    assert forgotten == Forgotten(201, 201, {State.PENDING: 201}, 4)
    files = files_of(path)
    assert not [one for one in before if one[-64:] in files or one[20:84] in files]
    assert path.with_name("relay.db-wal").stat().st_size == 0
    page = await store.select(Selection(), 0, 1_000)
    assert len(page.events) == 100
    assert all(one.original is not None for one in page.events)
    await store.close()


async def test_what_was_delivered_left_no_bytes_either(path: Path) -> None:
    """A body goes when it was delivered, long before anybody asks for it."""
    store = await open_store(path, Sealer([KEY]))
    await store.append([of("a", "u")])
    body = next(sealed_values(path, "a"))
    (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([delivered(claim)], NOW)
    await store.forget({"nobody"}, None, NOW)
    assert body[20:] not in files_of(path)
    await store.close()


async def test_no_id_stands_in_the_files(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    names = ("user-who-is-secret", "anonymous-secret")
    await store.append([replace(of("a", *names), learned=(LEARNED,))])
    await store.remembered("default", names, NOW)
    await store.forgettable({names[0]}, None, NOW)
    for forget in (False, True):
        if forget:
            await store.forget({names[0]}, None, NOW)
        assert not [name for name in (*names, "eeee", "pppp") if name.encode() in files_of(path)]
    await store.close()


async def test_a_hash_goes_with_its_event(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.append([of("a", "u"), of("b", "v")])
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    hashes = "SELECT hashes FROM event_subjects"
    before: bytes = connection.execute(hashes).get
    await store.forget({"u"}, None, NOW)
    assert connection.execute(hashes).get == bytes(16) + before[16:]
    connection.close()
    await store.close()


async def test_events_of_an_earlier_release_are_looked_through(path: Path) -> None:
    first_release(path)  # its originals name nobody
    connection = open_writing(path, None)
    migrate(connection, migrations()[:4])
    connection.close()
    store = await open_store(path, Sealer([KEY]))
    assert await store.forget({"u"}, None, NOW) == Forgotten()
    assert sum((await store.totals()).events.values()) == BACKLOG
    await store.close()


@pytest.mark.parametrize(
    ("original", "goes"),
    [
        ({"userId": "user-1"}, True),
        ({"anonymousId": "user-1", "userId": "x"}, True),
        ({"userId": "user-11"}, False),
        ({"userId": "x", "properties": {"note": "user-1"}}, False),
        ({"properties": {"userId": "user-1"}}, False),
    ],
)
async def test_an_older_event_says_itself_whose_it_is(
    path: Path, original: dict[str, object], goes: bool
) -> None:
    store = await open_store(path, Sealer([KEY]))
    content = orjson.dumps({"type": "track", **original})
    old = [event("a", original=content), event("b", original=content, source="other"), event("c")]
    await store.append(old)
    await store.close()
    connection = open_writing(path, None)
    connection.execute("UPDATE subject_key SET first_event = 4")  # as if it were made after these
    connection.close()
    store = await open_store(path, Sealer([KEY]))
    assert (await store.forgettable({"user-1"}, None, NOW)).events == 2 * goes
    assert (await store.forget({"user-1"}, "default", NOW)).events == goes
    left = [one.message_id for one in (await store.select(Selection(), 0, 10)).events]
    assert left == [*([] if goes else ["a"]), "b", "c"]
    await store.close()


async def test_an_older_event_written_with_escapes_is_found(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.append([event("a", original=b'{"userId":"user\\u002d1"}'), event("b")])
    await store.close()
    connection = open_writing(path, None)
    connection.execute("UPDATE subject_key SET first_event = 3")
    connection.close()
    store = await open_store(path, Sealer([KEY]))
    assert (await store.forget({"user-1"}, None, NOW)).events == 1
    await store.close()


async def test_hashes_and_match_keys_outlive_the_key_that_seals(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.append([replace(of("a", "u"), learned=(LEARNED,)), of("b", "v")])
    await store.close()
    store = await open_store(path, Sealer([NEW, KEY]))
    assert "u" in await store.remembered("default", ["u"], NOW)
    await store.append([of("c", "u")])
    assert await store.forget({"u"}, None, NOW) == Forgotten(2, 2, {State.PENDING: 2}, 2)
    await store.close()


async def test_hashes_need_no_key_but_the_one_that_seals(path: Path) -> None:
    """It is sealed anew at the first start with another key, so the old one can go."""
    await (await open_store(path, Sealer([KEY]))).close()
    store = await open_store(path, Sealer([NEW, KEY]))
    await store.append([replace(event("a"), subjects=("u",))])  # its original does not say whose
    await store.close()
    store = await open_store(path, Sealer([NEW]))
    assert (await store.forget({"u"}, None, NOW)).events == 1
    await store.close()


async def test_match_keys_need_the_key_that_sealed_them(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.append([replace(of("a", "u"), learned=(LEARNED,))])
    (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([delivered(claim)], NOW)
    later = NOW + timedelta(days=10)
    while not (await store.sweep(Retention(), later)).is_done:
        pass
    await store.close()
    with pytest.raises(ConfigurationError, match="sealed with another key"):
        await open_store(path, Sealer([NEW]))
    store = await open_store(path, Sealer([NEW, KEY]))
    while not (await store.sweep(Retention(), later + timedelta(days=30))).is_done:
        pass
    await store.close()
    store = await open_store(path, Sealer([NEW]))
    await store.append([of("b", "u")])
    assert (await store.forget({"u"}, None, NOW)).events == 1
    await store.close()


async def test_a_kill_in_the_middle_harms_nothing(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    for begin in range(0, 3_000, 100):
        names = range(begin, begin + 100)
        await store.append([of(f"m{n}", "u" if n % 2 else "v", size=50) for n in names])
    await store.close()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(path), env={"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    assert await child.wait() == -signal.SIGKILL
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM originals_to_thin").get == 0
    connection.close()
    store = await open_store(path, Sealer([KEY]))
    left = (await store.forgettable({"u"}, None, NOW)).events
    assert 0 < left < 1_500, "it was in the middle"
    assert await store.forget({"u"}, None, NOW) == Forgotten(left, left, {State.PENDING: left})
    assert (await store.totals()).events == {Disposition.PLANNED: 1_500}
    found = [one async for one in every(store)]
    assert found == [f"m{n}" for n in range(0, 3_000, 2)]
    await store.close()


async def every(store: SqliteStore) -> AsyncIterator[str]:
    after: int | None = 0
    while after is not None:
        page = await store.select(Selection(), after, 500)
        for one in page.events:
            assert one.original is not None
            yield one.message_id
        after = page.after


async def test_new_events_do_not_wait_for_it(path: Path) -> None:
    """Neither for the user's many events nor for looking through old ones."""
    store = await open_store(path, Sealer([KEY]))
    for begin in range(0, 8_000, 1_000):
        names = range(begin, begin + 1_000)
        await store.append([of(f"m{n}", "u" if n % 4 else "v", size=40) for n in names])
    forgetting = asyncio.create_task(store.forget({"u"}, None, NOW))
    kept = 0
    while not forgetting.done():
        await store.append([event(f"new{kept}")])
        kept += 1
    assert (await forgetting).events == 6_000
    assert kept > 20, "so often it gave way"
    await store.close()


async def test_what_comes_meanwhile_stays_with_what_it_teaches(path: Path) -> None:
    """Nor is anything of it left where it goes: its match keys must not outlive it."""
    store = await open_store(path, Sealer([KEY]))
    await store.append([of("early", "v")])
    busy = asyncio.create_task(store.append([of(f"v{n}", "v", size=50) for n in range(1_000)]))
    await asyncio.sleep(0)
    late = replace(of("late", "u"), learned=(LEARNED,))
    forgotten, _, _ = await asyncio.gather(
        store.forget({"u"}, None, NOW), store.append([late]), busy
    )
    assert forgotten == Forgotten()
    assert (await store.forgettable({"u"}, None, NOW)).events == 1
    await store.close()


async def test_a_program_that_reads_the_database_is_named(path: Path) -> None:
    store = await open_store(path, Sealer([KEY]))
    await store.append([of("a", "u"), of("b", "u")])
    other = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    other.execute("BEGIN; SELECT count(*) FROM events")
    with pytest.raises(StoreUnavailable, match="another program reads the database"):
        await store.forget({"u"}, None, NOW)
    other.execute("ROLLBACK")
    other.close()
    assert await store.forget({"u"}, None, NOW) == Forgotten()
    assert path.with_name("relay.db-wal").stat().st_size == 0
    await store.close()


class Meddling(Sealer):
    """Lets the sweep come in between, once: while a chunk is opened, one of its events goes."""

    def __init__(self, path: Path, goes: int) -> None:
        super().__init__([KEY])
        self._path, self._goes = path, [goes]

    @override
    def open(self, sealed: bytes, context: bytes) -> bytes:
        plain = super().open(sealed, context)
        if self._goes and context.startswith(b'["originals"'):
            connection = open_writing(self._path, None)
            with transaction(connection):
                remove(connection, [self._goes.pop()])
            connection.close()
        return plain


async def test_a_chunk_that_changed_meanwhile_is_sealed_again(path: Path) -> None:
    store = await open_store(path, Meddling(path, 2))
    await store.append([of("u-1", "u"), of("v-2", "v"), of("v-3", "v")])
    assert (await store.forget({"u"}, None, NOW)).events == 1
    assert sealed_events(path) == [one async for one in every(store)] == ["v-3"]
    await store.close()


async def test_beside_the_sweep_no_bytes_stay(path: Path) -> None:
    """Both change the same chunks at the same time."""
    store = await open_store(path, Sealer([KEY]))
    day = timedelta(days=8)
    for begin in range(0, 4_000, 1_000):
        events = [of(f"m{n}", "u" if n % 8 else "v", size=20) for n in range(begin, begin + 1_000)]
        rejected = [replace(one, disposition=Disposition.REJECTED) for one in events]
        old = [replace(one, received_at=NOW - n % 3 * day) for n, one in enumerate(rejected)]
        await store.append([replace(one, deliveries=()) for one in old])
    forgetting = asyncio.create_task(store.forget({"u"}, None, NOW))
    is_swept = False
    while not forgetting.done():
        is_swept = is_swept or (await store.sweep(Retention(), NOW)).is_done
        await asyncio.sleep(0)
    assert not [name for name in sealed_events(path) if int(name[1:]) % 8]
    while not (await store.sweep(Retention(), NOW)).is_done:
        pass
    left = [one async for one in every(store)]
    kept = {f"m{n}" for n in range(0, 4_000, 8) if n % 1_000 % 3 == 0}
    assert set(left) == set(sealed_events(path)) == kept
    await store.close()
