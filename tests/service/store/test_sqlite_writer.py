"""Group commit, its bounds, and what happens when the disk or a caller fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conversion_relay.core.delivery import State
from conversion_relay.errors import StoreBusy, StoreUnavailable
from conversion_relay.service.sealing import Packing, Sealer
from conversion_relay.service.store.port import NewEvent
from conversion_relay.service.store.sqlite import Limits, SqliteStore, open_store
from service.store.conftest import KEY
from service.store.examples import LEASE, NOW, delivered, delivery, event

PATIENCE_SECONDS = 20


class GatedSealer(Sealer):
    """Stops the writer's thread in the middle of a group, until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__([KEY])
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def seal_all(
        self, values: Sequence[tuple[bytes, bytes]], packing: Packing = Packing.DEFLATED
    ) -> list[bytes]:
        """Wait at the gate, then seal."""
        self.entered.set()
        assert self.gate.wait(PATIENCE_SECONDS)
        return super().seal_all(values, packing)


@dataclass
class Held:
    """A store whose writer stands still over a first append."""

    store: SqliteStore
    sealer: GatedSealer
    first: asyncio.Task[object]

    def go_on(self) -> None:
        """Let the writer work."""
        self.sealer.gate.set()


async def hold(store: SqliteStore, sealer: GatedSealer) -> Held:
    sealer.gate.clear()
    sealer.entered.clear()
    first: asyncio.Task[object] = asyncio.create_task(store.append([event("first")]))
    assert await asyncio.to_thread(sealer.entered.wait, PATIENCE_SECONDS)
    return Held(store, sealer, first)


@pytest.fixture
async def held(tmp_path: Path) -> AsyncIterator[Held]:
    """Held, with room for 100 events or 10,000 bytes, at most 40 events a transaction."""
    sealer = GatedSealer()
    store = await open_store(tmp_path / "relay.db", sealer, Limits(100, 10_000, 40))
    held = await hold(store, sealer)
    yield held
    held.go_on()
    await store.close()


async def test_everything_that_waits_goes_into_one_commit(held: Held) -> None:
    before = held.store.load.commits
    appends = [asyncio.create_task(held.store.append([event(f"m{n}")])) for n in range(30)]
    claims = [asyncio.create_task(held.store.claim("tiktok", 5, LEASE, NOW)) for _ in range(3)]
    await asyncio.sleep(0)
    assert held.store.load.waiting_events == 30
    held.go_on()
    assert [(await append).accepted for append in appends] == [1] * 30
    assert [len(await claim) for claim in claims] == [1, 0, 0]  # claims go before new events
    assert held.store.load.commits == before + 2  # the held one, and one for all the rest
    assert held.store.load.waiting_events == held.store.load.waiting_bytes == 0


async def test_a_transaction_takes_no_more_events_than_its_bound(held: Held) -> None:
    before = held.store.load.commits
    appends = [asyncio.create_task(held.store.append([event(f"m{n}")])) for n in range(100)]
    await asyncio.sleep(0)
    held.go_on()
    await asyncio.gather(*appends)
    assert held.store.load.commits == before + 1 + 3  # 40, 40, 20


async def test_too_many_waiting_events_are_refused_at_once(held: Held) -> None:
    waiting = asyncio.create_task(held.store.append([event(f"m{n}") for n in range(100)]))
    await asyncio.sleep(0)
    assert not held.store.has_room(1, 0)
    assert not held.store.has_room(0, 1 << 40)
    with pytest.raises(StoreBusy):
        await held.store.append([event("one too many")])
    held.go_on()
    assert (await waiting).accepted == 100
    assert held.store.has_room(1, 0)
    assert (await held.store.append([event("one too many")])).accepted == 1


async def test_too_many_waiting_bytes_are_refused_at_once(held: Held) -> None:
    waiting = asyncio.create_task(held.store.append([event("a", original=b"x" * 9_999)]))
    await asyncio.sleep(0)
    with pytest.raises(StoreBusy):
        await held.store.append([event("b", original=b"yy")])
    held.go_on()
    assert (await waiting).accepted == 1


async def test_an_append_that_alone_is_too_much_goes_when_nothing_waits(held: Held) -> None:
    held.go_on()
    await held.first
    assert (await held.store.append([event(f"m{n}") for n in range(500)])).accepted == 500


async def test_a_cancelled_append_harms_nobody(held: Held) -> None:
    cancelled = asyncio.create_task(held.store.append([event("cancelled")]))
    other = asyncio.create_task(held.store.append([event("other")]))
    await asyncio.sleep(0)
    cancelled.cancel()
    held.first.cancel()
    await asyncio.gather(cancelled, held.first, return_exceptions=True)
    held.go_on()
    assert (await other).accepted == 1
    assert held.store.load.waiting_events == 0
    assert (await held.store.append([event("cancelled")])).accepted == 1


async def test_a_claim_cancelled_while_it_waits_takes_no_lease(held: Held) -> None:
    cancelled = asyncio.create_task(held.store.claim("tiktok", 10, LEASE, NOW))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    held.go_on()
    await held.first
    (claim,) = await held.store.claim("tiktok", 10, LEASE, NOW)
    assert claim.attempts == 1


async def test_a_settlement_cancelled_while_it_waits_is_recorded(held: Held) -> None:
    held.go_on()
    await held.first
    claims = await held.store.claim("tiktok", 10, LEASE, NOW)
    again = await hold_again(held)
    cancelled = asyncio.create_task(held.store.settle([delivered(claims[0])], NOW))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    held.go_on()
    await again
    await held.store.append([event("later")])
    assert (await held.store.deliveries(["first"]))[0].state is State.DELIVERED


async def hold_again(held: Held) -> asyncio.Task[object]:
    held.sealer.gate.clear()
    held.sealer.entered.clear()
    append: asyncio.Task[object] = asyncio.create_task(held.store.append([event("second")]))
    assert await asyncio.to_thread(held.sealer.entered.wait, PATIENCE_SECONDS)
    return append


async def test_an_event_that_cannot_be_kept_fails_only_its_own_append(held: Held) -> None:
    good = [asyncio.create_task(held.store.append([event(f"m{n}")])) for n in range(3)]
    unreadable = replace(event("unreadable"), reason="cut emoji \ud83d")
    bad = asyncio.create_task(held.store.append([event("ok"), unreadable]))
    await asyncio.sleep(0)
    held.go_on()
    assert [(await append).accepted for append in good] == [1, 1, 1]
    with pytest.raises(StoreUnavailable, match="UnicodeEncodeError"):
        await bad
    assert held.store.trouble() is None
    assert await held.store.deliveries(["ok"]) == ()


async def test_what_breaks_a_rule_of_the_schema_fails_only_its_own_append(held: Held) -> None:
    good = [asyncio.create_task(held.store.append([event(f"m{n}")])) for n in range(3)]
    no_source = replace(event("bad"), source=None)  # type: ignore[arg-type]
    bad = asyncio.create_task(held.store.append([event("ok"), no_source]))
    await asyncio.sleep(0)
    held.go_on()
    assert [(await append).accepted for append in good] == [1, 1, 1]
    with pytest.raises(StoreUnavailable, match="SQLite answered Constraint"):
        await bad
    assert held.store.trouble() is None
    assert await held.store.deliveries(["ok"]) == ()


async def test_a_full_disk_is_told_to_every_waiter_and_forgotten_when_there_is_room(
    tmp_path: Path,
) -> None:
    store = await open_store(
        tmp_path / "relay.db", Sealer([KEY]), Limits(database_bytes=512 * 1024)
    )
    await store.append([event("before")])
    too_much = [big_event(f"big{n}") for n in range(20)]
    results = await asyncio.gather(
        *(store.append([one]) for one in too_much), store.append(too_much), return_exceptions=True
    )
    failures = [result for result in results if isinstance(result, StoreUnavailable)]
    assert failures
    assert "no space" in str(failures[0])
    with pytest.raises(StoreUnavailable):
        await store.append(too_much)
    assert store.trouble() == str(failures[0])
    kept = await store.deliveries([one.message_id for one in too_much])
    assert len(kept) == sum(not isinstance(result, BaseException) for result in results)
    claims = await store.claim("tiktok", 100, LEASE, NOW)
    assert await store.settle([delivered(claim) for claim in claims], NOW) == len(claims)
    assert store.trouble() is None
    assert (await store.append([event("after")])).accepted == 1
    await store.close()


async def test_trouble_is_over_once_something_was_written_not_before(tmp_path: Path) -> None:
    """A worker that finds nothing to do commits without a write, on a full disk too."""
    log = tmp_path / "relay.db-wal"
    limits = Limits(database_bytes=512 * 1024)
    store = await open_store(tmp_path / "relay.db", Sealer([KEY]), limits)
    assert await store.claim("tiktok", 1, LEASE, NOW) == ()
    before = log.read_bytes()
    assert await store.claim("tiktok", 1, LEASE, NOW) == ()
    assert log.read_bytes() == before
    with pytest.raises(StoreUnavailable):
        await store.append([big_event(f"big{n}") for n in range(20)])
    before = log.read_bytes()
    assert store.trouble() is not None
    assert await store.claim("tiktok", 1, LEASE, NOW) == ()
    assert log.read_bytes() != before
    assert store.trouble() is None
    await store.close()


def big_event(message_id: str) -> NewEvent:
    return event(message_id, delivery(message_id, body=b"x" * 60_000))
