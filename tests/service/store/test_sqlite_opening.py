"""Opening and closing the embedded store: one owner, a whole file, the right schema and keys."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from conversion_relay.errors import ConfigurationError, StoreUnavailable
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.embedded.connection import (
    open_writing,
    require_durable,
    require_sqlite,
    transaction,
)
from conversion_relay.service.store.embedded.ownership import field
from conversion_relay.service.store.sql_files import Migration
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.store.sqlite.opening import temporary_folder
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.schema import migrate, migrations
from conversion_relay.service.store.times import to_microseconds
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, WEB, event, retried

HOLDER = """
import asyncio, sys
from pathlib import Path
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.sqlite import open_store

async def main():
    await open_store(Path(sys.argv[1]), Sealer([bytes(range(32))]))
    print("open", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


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


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def damage(path: Path) -> None:
    """What a broken disk and a process that was killed leave behind."""
    content = path.read_bytes()
    put(path, content[: 4096 * 3] + bytes(len(content) - 4096 * 3))
    put(path.with_name("relay.db.lock"), b"4711\n")


async def test_a_second_owner_is_refused_with_the_id_of_the_first(path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"open\n"
    with pytest.raises(ConfigurationError, match=f"process {holder.pid} already uses"):
        await open_store(path, Sealer([KEY]))
    holder.kill()
    await holder.communicate()
    store = await open_store(path, Sealer([KEY]))
    await store.close()


async def test_a_second_store_in_the_same_process_is_refused(
    path: Path, store: SqliteStore
) -> None:
    with pytest.raises(ConfigurationError, match="already uses"):
        await open_store(path, Sealer([KEY]))
    assert (await store.append([event("a")])).accepted == 1


async def test_a_clean_end_leaves_no_owner_and_no_log(path: Path, store: SqliteStore) -> None:
    await store.append([event("a")])
    assert path.with_name("relay.db.lock").read_text().strip().isdigit()
    await store.close()
    assert path.with_name("relay.db.lock").read_text() == ""
    assert not path.with_name("relay.db-wal").exists()


async def test_a_damaged_database_is_refused_after_an_unclean_end(
    path: Path, store: SqliteStore
) -> None:
    await store.append([event(f"m{n}") for n in range(500)])
    await store.close()
    damage(path)
    with pytest.raises(StoreUnavailable, match=f"^{path}: .*move the file"):
        await open_store(path, Sealer([KEY]))


async def test_what_is_no_database_is_refused(path: Path) -> None:
    put(path, b"this is no database" * 100)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await open_store(path, Sealer([KEY]))


async def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await open_store(tmp_path / "file" / "relay.db", Sealer([KEY]))


async def test_another_key_is_refused(path: Path, store: SqliteStore) -> None:
    await store.append([event("a")])
    await store.close()
    with pytest.raises(ConfigurationError, match=f"^{path}: .*{Sealer([KEY]).key_id}"):
        await open_store(path, Sealer([bytes(32)]))


async def test_a_new_key_seals_while_the_old_one_opens(path: Path, store: SqliteStore) -> None:
    await store.append([event("old")])
    await store.close()
    store = await open_store(path, Sealer([bytes(32), KEY]))
    await store.append([event("new")])
    assert len(await store.claim("tiktok", 10, LEASE, NOW)) == 2
    await store.close()
    with pytest.raises(ConfigurationError):
        await open_store(path, Sealer([KEY]))


async def test_a_database_that_another_program_holds_is_refused(
    path: Path, raw: apsw.Connection
) -> None:
    raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match=f"^{path}: .*Busy.*another program holds"):
        await open_store(path, Sealer([KEY]))


async def test_a_clock_that_was_set_back_keeps_nothing_waiting(
    path: Path, store: SqliteStore
) -> None:
    ahead = NOW + timedelta(days=10)
    soon = NOW + timedelta(hours=1)
    await store.append([event("retried"), event("soon"), event("claimed")])
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    await store.settle([retried(claims[0], ahead, ahead), retried(claims[1], soon)], NOW)
    await store.claim("tiktok", 10, LEASE, ahead)
    await store.append([event("new", received_at=ahead)])
    await store.close()
    store = await open_store(path, Sealer([KEY]), now=NOW)
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    assert {claim.message_id: claim.first_unknown_at for claim in claims} == {
        "retried": NOW, "soon": NOW, "claimed": NOW, "new": None,
    }  # fmt: skip
    assert {
        claim.message_id: claim.accepted_at for claim in claims if claim.accepted_at > NOW
    } == {"new": ahead}, "a clock that is behind for once would make it too old"
    await store.close()


def backlog(connection: apsw.Connection, count: int) -> None:
    """Deliveries that wait, due ten days from now; those above 6,000 cannot be changed."""
    ahead = to_microseconds(NOW + timedelta(days=10))
    with transaction(connection):
        connection.execute("INSERT INTO envelopes VALUES (1, 'tiktok', ?)", (WEB,))
        connection.execute(
            "INSERT INTO events (id, source, message_id, type, received_at, disposition) "
            "SELECT value, 'default', value, 'track', ?, 'planned' FROM json_each(?)",
            (ahead, str([*range(1, count + 1)])),
        )
        connection.execute(
            "INSERT INTO deliveries (id, event, envelope, mapping, event_name, accepted_at, state,"
            " due_at, body) SELECT id, id, 1, 'm', 'e', ?, 'pending', ?, x'00' FROM events",
            (ahead, ahead),
        )
        connection.execute(
            "CREATE TRIGGER full_disk BEFORE UPDATE ON deliveries WHEN OLD.id > 6000 "
            "BEGIN SELECT RAISE(ABORT, 'as if there were no room'); END"
        )


FIRST_UNKNOWN = "SELECT count(*) FROM deliveries WHERE first_unknown_at = ?"
DUE = "SELECT count(*) FROM deliveries WHERE due_at = ?"


@pytest.mark.parametrize(("mark", "changed"), [(17_000_000, FIRST_UNKNOWN), (None, DUE)])
async def test_a_start_that_changes_a_whole_backlog_does_so_in_portions(
    path: Path, raw: apsw.Connection, mark: int | None, changed: str
) -> None:
    """It needs little room, and what an end halfway left is done by the next start."""
    backlog(raw, 11_000)
    lock = path.with_name("relay.db.lock")
    if mark is not None:
        lock.write_bytes(field(4711) + field(mark))
    expected = (mark or to_microseconds(NOW),)
    with pytest.raises(StoreUnavailable, match="Constraint"):
        await open_store(path, Sealer([KEY]), now=NOW)
    assert raw.execute(changed, expected).get == 5_000
    assert (mark is not None) == (b"17000000" in lock.read_bytes())
    raw.execute("DROP TRIGGER full_disk")
    store = await open_store(path, Sealer([KEY]), now=NOW)
    assert raw.execute(changed, expected).get == 11_000
    assert b"17000000" not in lock.read_bytes()
    await store.close()


async def test_a_mark_of_a_clock_that_was_ahead_counts_from_now(
    path: Path, store: SqliteStore
) -> None:
    await store.append([event("a")])
    await store.close()
    ahead = to_microseconds(NOW + timedelta(days=10))
    path.with_name("relay.db.lock").write_bytes(field(4711) + field(ahead))
    store = await open_store(path, Sealer([KEY]), now=NOW)
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    assert claim.first_unknown_at == NOW
    await store.close()


def test_a_machine_without_a_temporary_folder_has_no_second_place(tmp_path: Path) -> None:
    def none_can_be_written() -> str:
        raise FileNotFoundError("no usable temporary directory")

    assert temporary_folder(none_can_be_written) is None
    assert temporary_folder(lambda: str(tmp_path)) == tmp_path


async def test_what_waits_for_a_retry_goes_on_waiting(path: Path, store: SqliteStore) -> None:
    due_at = NOW + timedelta(minutes=1)
    await store.append([event("a")])
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    await store.settle([retried(claims[0], due_at)], NOW)
    await store.close()
    store = await open_store(path, Sealer([KEY]), now=NOW)
    assert await store.next_due("tiktok") == due_at
    await store.close()


@pytest.mark.parametrize("version", ["3.51.2", "3.40.1", "2.8.17"])
def test_a_sqlite_that_can_corrupt_its_log_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError, match=version):
        require_sqlite(version)


def test_the_oldest_safe_sqlite_is_the_first_that_is_taken() -> None:
    with pytest.raises(ConfigurationError, match=r"3\.51\.3"):
        require_sqlite("3.51.2")
    require_sqlite("3.51.3")


def test_commits_are_flushed_to_the_disk(raw: apsw.Connection) -> None:
    assert (raw.pragma("journal_mode"), raw.pragma("synchronous")) == ("wal", 2)
    assert raw.pragma("foreign_keys") == 1


def test_a_weaker_synchronous_is_refused(raw: apsw.Connection) -> None:
    raw.pragma("synchronous", 1)
    with pytest.raises(ConfigurationError, match="synchronous=1"):
        require_durable(raw)


def test_a_database_that_cannot_keep_a_log_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="journal_mode=memory"):
        require_durable(apsw.Connection(":memory:"))


async def test_a_database_of_a_newer_release_is_refused(path: Path, raw: apsw.Connection) -> None:
    raw.pragma("user_version", 99)
    raw.close()
    with pytest.raises(ConfigurationError, match=f"^{path}: .*schema 99"):
        await open_store(path, Sealer([KEY]))


def test_a_migration_that_fails_leaves_nothing_behind(raw: apsw.Connection) -> None:
    newest = len(migrations())
    broken = Migration(newest + 1, "CREATE TABLE fresh (a); INSERT INTO events (id) VALUES (1);")
    with pytest.raises(apsw.ConstraintError):
        migrate(raw, [*migrations(), broken])
    assert raw.pragma("user_version") == newest
    assert not raw.table_exists("main", "fresh")
    migrate(raw, [*migrations(), Migration(newest + 1, "CREATE TABLE fresh (a);")])
    assert raw.pragma("user_version") == newest + 1
    assert raw.table_exists("main", "fresh")


def test_migrations_count_up_from_one() -> None:
    assert [migration.version for migration in migrations()] == [
        number for number, _ in enumerate(migrations(), 1)
    ]


PULLED = {"now": 1, "latest": 2, "most": 3}


@pytest.mark.parametrize(
    ("query", "index"),
    [("pull_back", "deliveries_due"), ("pull_back_held", "deliveries_held_unknown")],
)
def test_pulling_back_what_waits_scans_no_deliveries(
    raw: apsw.Connection, query: str, index: str
) -> None:
    plan = raw.execute("EXPLAIN QUERY PLAN " + QUERIES[query], PULLED)
    steps = [str(row[3]) for row in plan.fetchall()]
    found = f"SEARCH deliveries USING COVERING INDEX {index} (envelope=? AND "
    assert any(found in step for step in steps)
    assert not any("SCAN deliveries" in step for step in steps)


def test_finding_what_is_due_scans_no_table(raw: apsw.Connection) -> None:
    raw.execute("INSERT INTO envelopes VALUES (1, 'tiktok', ?)", (WEB,))
    plan = raw.execute(
        "EXPLAIN QUERY PLAN SELECT id FROM deliveries WHERE envelope = 1 AND due_at <= 9 "
        "ORDER BY due_at, id LIMIT 5"
    ).fetchall()
    assert [str(row[3]) for row in plan] == [
        "SEARCH deliveries USING COVERING INDEX deliveries_due (envelope=? AND due_at<?)"
    ]
