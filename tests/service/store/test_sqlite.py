"""What is particular to the embedded store while it works: what stands in the file, and how."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.plan import Note
from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.originals import (
    Original,
    SealedOriginals,
    open_originals,
    seal_originals,
)
from conversion_relay.service.store.port import Settlement
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, delivery, event


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store."""
    store = await open_store(path, Sealer([KEY]))
    yield store
    await store.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path))
    found = connection.execute(query).fetchall()
    connection.close()
    return [tuple(row) for row in found]


def change(path: Path, statement: str) -> None:
    rows(path, statement)


async def test_nothing_personal_is_readable_on_the_disk(path: Path, store: SqliteStore) -> None:
    secrets = (b"jane.doe@example.com", b"+15551234567", b"Jane Doe", b"jane.doe")
    original = b'{"email":"jane.doe@example.com","phone":"+15551234567","name":"Jane Doe"}'
    note = Note("tiktok", "Order Completed", "value", "must be a number")
    kept = event("a", delivery("a", body=original), original=original)
    waiting = event("b", delivery("b", body=original), original=original)
    await store.append([replace(kept, rejections=(note,)), waiting])
    claims = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([delivered(claims[0])], NOW)

    def found() -> list[tuple[str, bytes]]:
        files = [file for file in path.parent.iterdir() if file.is_file()]
        assert {file.name for file in files} >= {"relay.db", "relay.db.lock"}
        return [(f.name, s) for f in files for s in secrets if s in f.read_bytes()]

    assert (path.parent / "relay.db-wal").stat().st_size > 0
    assert found() == []
    await store.close()
    assert found() == []


async def test_what_a_client_writes_stays_readable_within_bounds_only(
    path: Path, store: SqliteStore
) -> None:
    kinds = ["track", "page", "screen", "identify", "group", "alias", "delete", ""]
    all_kinds = [*kinds, "Track", "jane.doe@example.com"]
    typed = [replace(event(kind), type=kind) for kind in all_kinds]
    ids = ["x" * 100, "x" * 101, None]
    named = [
        event(f"named {n}", replace(delivery("id"), event_id=given)) for n, given in enumerate(ids)
    ]
    await store.append([*typed, *named])
    claims = await store.claim("tiktok", 100, LEASE, NOW)
    kept = [claim.event_id for claim in claims if claim.message_id.startswith("named")]
    assert kept == ["x" * 100, f"sha256:{hashlib.sha256(b'x' * 101).hexdigest()}", None]
    await store.close()
    found = rows(path, "SELECT type FROM events ORDER BY id LIMIT 10")
    assert found == [(kind,) for kind in [*kinds, "other", "other"]]


async def test_files_are_for_the_owner_alone(path: Path, store: SqliteStore) -> None:
    await store.append([event("a")])
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ["relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock"], 0o600
    )
    assert [folder.stat().st_mode & 0o777 for folder in path.parents[:2]] == [0o700, 0o700]


async def test_a_body_is_gone_once_delivered(path: Path, store: SqliteStore) -> None:
    await store.append([event("a"), event("b")])
    claims = await store.claim("tiktok", 2, LEASE, NOW)
    dead = Settlement(
        claims[1].id, claims[1].fence, Transition(State.DEAD, Cause.REFUSED, reason="no")
    )
    await store.settle([delivered(claims[0]), dead], NOW)
    await store.close()
    found = rows(path, "SELECT state, body IS NULL, settled_at > 0 FROM deliveries ORDER BY id")
    assert found == [("delivered", 1, 1), ("dead", 0, 1)]


async def test_originals_open_again_where_they_were_kept(path: Path, store: SqliteStore) -> None:
    events = [event(f"m{n}", original=b"original %d" % n) for n in range(300)]
    await store.append([events[0]])
    await store.append(events)
    await store.close()
    found = rows(path, "SELECT first_event, last_event, sealed FROM originals ORDER BY 1")
    chunks = [SealedOriginals(*row) for row in found]  # type: ignore[arg-type]
    opened = [original for chunk in chunks for original in open_originals(chunk, Sealer([KEY]))]
    assert opened == [
        Original(number, "default", e.message_id, e.original) for number, e in enumerate(events, 1)
    ]


def test_big_originals_go_into_chunks_of_their_own() -> None:
    sizes = [10, 200_000, 100_000, 300_000, 10]
    events = [event(f"m{n}", original=b"x" * size) for n, size in enumerate(sizes)]
    chunks = seal_originals(events, 7, Sealer([KEY]))
    assert [(c.first_event, c.last_event) for c in chunks] == [(7, 8), (9, 9), (10, 10), (11, 11)]


def test_a_chunk_of_originals_does_not_open_in_the_place_of_another() -> None:
    (chunk,) = seal_originals([event("a"), event("b")], 1, Sealer([KEY]))
    with pytest.raises(SealingError):
        open_originals(replace(chunk, first_event=3, last_event=4), Sealer([KEY]))


async def test_a_damaged_body_is_put_aside_and_the_rest_goes_on(
    path: Path, store: SqliteStore
) -> None:
    await store.append([event("a"), event("b"), event("c")])
    await store.close()
    change(
        path,
        "UPDATE deliveries SET body = (SELECT body FROM deliveries WHERE id = 1) WHERE id = 2",
    )
    store = await open_store(path, Sealer([KEY]))
    claims = await store.claim("tiktok", 10, LEASE, NOW)
    assert [claim.message_id for claim in claims] == ["a", "c"]
    (record,) = await store.deliveries(["b"])
    assert (record.state, record.reason) == (State.DEAD, "the stored body cannot be opened")
    await store.close()


async def test_claims_of_a_process_that_is_gone_are_due_at_once(
    path: Path, store: SqliteStore
) -> None:
    await store.append([event("a")])
    await store.claim("tiktok", 10, LEASE, NOW)
    await store.close()
    store = await open_store(path, Sealer([KEY]))
    assert (await store.totals()).deliveries == {("tiktok", State.PENDING): 1}
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    assert (claim.attempts, claim.first_unknown_at) == (2, NOW)
    await store.close()
