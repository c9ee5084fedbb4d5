"""The delivery loop over the real store, with a toy destination and a wire told what to answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from conversion_relay.core.delivery import (
    RetryPolicy,
    State,
    TransportFailure,
    WireResponse,
)
from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.core.plan import plan
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import ClaimedDelivery, Disposition, NewEvent, Store
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.worker import Route, Worker
from support.lines import Lines
from support.toy import Toy, hello, target

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
Answer = Callable[[bytes], WireResponse | TransportFailure]


class Clock:
    """Time that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The present."""
        return self.now

    def turn(self, **by: float) -> None:
        """Lets time pass: seconds, minutes, hours or days."""
        self.now += timedelta(**by)


class ScriptedWire:
    """Answers as told and remembers what was sent."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.sent: list[bytes] = []

    async def send(self, request: OutgoingRequest) -> WireResponse | TransportFailure:
        """What the script answers."""
        self.sent.append(request.content)
        return self.answer(request.content)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path / "relay.db", Sealer((bytes(32),)))
    yield opened
    await opened.close()


def _worker(
    store: SqliteStore, clock: Clock, wire: ScriptedWire, log: Log | None = None
) -> Worker:
    route = Route("toy", Toy(), "credential", wire)
    return Worker(route, store, RetryPolicy(), clock, lambda: 0.5, Metrics(), log or Lines())


async def _keep(store: SqliteStore, *names: str, batch: str = "one") -> None:
    """Keeps one greeting for each name; its messageId is the name."""
    events = []
    for name in names:
        result = plan(hello(name, message_id=name, batch=batch), [target()], START)
        events.append(
            NewEvent(
                "default", name, "track", START, b"{}", Disposition.PLANNED, result.deliveries
            )
        )
    await store.append(events)


async def _keep_unrecognisable(store: SqliteStore, name: str) -> None:
    """Keeps a greeting without an id by which the partner would know a copy."""
    result = plan(hello(name, message_id=name), [target()], START)
    deliveries = tuple(replace(one, event_id=None) for one in result.deliveries)
    event = NewEvent("default", name, "track", START, b"{}", Disposition.PLANNED, deliveries)
    await store.append([event])


async def _states(store: SqliteStore, *names: str) -> dict[str, State]:
    return {one.message_id: one.state for one in await store.deliveries(names)}


async def test_one_batch_for_each_envelope(store: SqliteStore) -> None:
    wire = ScriptedWire(lambda _: WireResponse(200, b""))
    worker = _worker(store, Clock(), wire)
    await _keep(store, "a", "b", batch="left")
    await _keep(store, "c", batch="right")
    assert [await worker.step() for _ in range(3)] == [2, 1, 0]
    assert [content.partition(b":")[0] for content in wire.sent] == [b"left", b"right"]
    assert set((await _states(store, "a", "b", "c")).values()) == {State.DELIVERED}


async def test_a_poisoned_batch_costs_the_others_nothing(store: SqliteStore) -> None:
    def answer(content: bytes) -> WireResponse:
        return WireResponse(400 if b'"poison"' in content else 200, b"")

    wire, log = ScriptedWire(answer), Lines()
    worker = _worker(store, Clock(), wire, log)
    await _keep(store, "a", "b", "c", "poison", "d", "e", "f", "g")
    assert await worker.step() == 8
    states = await _states(store, "a", "b", "c", "poison", "d", "e", "f", "g")
    assert states.pop("poison") is State.DEAD
    assert set(states.values()) == {State.DELIVERED}
    assert len(wire.sent) <= 2 * 3 + 1, "halving eight needs three levels"
    assert log.events.count("delivery.dead") == 1
    arrived = [content for content in wire.sent if b"poison" not in content]
    for name in (b"a", b"b", b"c", b"d", b"e", b"f", b"g"):
        assert sum(b'"name":"%s"' % name in content for content in arrived) == 1


@pytest.mark.parametrize("certain", [True, False])
async def test_a_failure_is_tried_again_when_due(store: SqliteStore, certain: bool) -> None:
    answers: list[WireResponse | TransportFailure] = [
        TransportFailure(certain=certain, reason="down"),
        WireResponse(200, b""),
    ]
    wire, clock = ScriptedWire(lambda _: answers.pop(0)), Clock()
    worker = _worker(store, clock, wire)
    await _keep(store, "a")
    assert await worker.step() == 1
    assert await worker.step() == 0, "not due yet"
    due = await store.next_due("toy")
    assert due == START + timedelta(seconds=0.5)
    clock.turn(seconds=0.5)
    assert await worker.step() == 1
    assert await _states(store, "a") == {"a": State.DELIVERED}
    assert wire.sent[0] == wire.sent[1], "the same bytes, the same event_id"


async def test_an_unknown_outcome_is_not_repeated_after_48_hours(store: SqliteStore) -> None:
    clock = Clock()
    wire = ScriptedWire(lambda _: TransportFailure(certain=False, reason="no answer"))
    worker = _worker(store, clock, wire)
    await _keep(store, "a")
    await worker.step()
    clock.turn(hours=47, minutes=59, seconds=50)
    await worker.step()
    assert await _states(store, "a") == {"a": State.PENDING}
    clock.turn(seconds=9)
    await worker.step()
    assert await _states(store, "a") == {"a": State.UNCERTAIN}
    clock.turn(days=1)
    assert await worker.step() == 0
    assert len(wire.sent) == 3


async def test_after_a_certain_failure_it_goes_at_any_age_within_the_horizon(
    store: SqliteStore,
) -> None:
    clock = Clock()
    answers: list[WireResponse | TransportFailure] = [
        TransportFailure(certain=True, reason="no connection"),
        WireResponse(200, b""),
    ]
    worker = _worker(store, clock, ScriptedWire(lambda _: answers.pop(0)))
    await _keep(store, "a")
    await worker.step()
    clock.turn(days=6)
    await worker.step()
    assert await _states(store, "a") == {"a": State.DELIVERED}


async def test_past_the_horizon_it_is_set_aside_not_dropped(store: SqliteStore) -> None:
    clock = Clock()
    worker = _worker(
        store, clock, ScriptedWire(lambda _: TransportFailure(certain=True, reason="down"))
    )
    await _keep(store, "a")
    clock.turn(days=7)
    await worker.step()
    assert await _states(store, "a") == {"a": State.DEAD}


async def test_a_broken_answer_ends_neither_the_worker_nor_the_delivery(
    store: SqliteStore,
) -> None:
    def broken(_: bytes) -> WireResponse:
        raise ZeroDivisionError

    clock, log = Clock(), Lines()
    wire = ScriptedWire(broken)
    worker = _worker(store, clock, wire, log)
    await _keep(store, "a")
    await worker.step()
    assert "delivery.broken" in log.events
    wire.answer = lambda _: WireResponse(200, b"")
    clock.turn(minutes=2)
    await worker.step()
    assert await _states(store, "a") == {"a": State.DELIVERED}, "the lease ran out"


def _broken(_: bytes) -> WireResponse:
    raise ZeroDivisionError


async def test_what_may_have_arrived_is_not_sent_after_48_hours_of_standstill(
    store: SqliteStore,
) -> None:
    """However the outcome got lost: a crash, a full disk, a fault of ours."""
    clock, wire = Clock(), ScriptedWire(_broken)
    worker = _worker(store, clock, wire)
    await _keep(store, "old")
    await worker.step()
    clock.turn(hours=1)
    await _keep(store, "new")
    clock.turn(hours=47, minutes=30)
    wire.answer = lambda _: WireResponse(200, b"")
    while await worker.step():
        pass
    assert await _states(store, "old", "new") == {"old": State.UNCERTAIN, "new": State.DELIVERED}
    assert len(wire.sent) == 2
    assert b"old" not in wire.sent[1]


async def test_without_an_id_it_is_never_sent_twice(store: SqliteStore) -> None:
    clock, log = Clock(), Lines()
    wire = ScriptedWire(_broken)
    worker = _worker(store, clock, wire, log)
    await _keep_unrecognisable(store, "a")
    await worker.step()
    clock.turn(minutes=2)
    await worker.step()
    assert await _states(store, "a") == {"a": State.UNCERTAIN}
    assert len(wire.sent) == 1
    assert "delivery.uncertain" in log.events


async def test_a_delivery_lingers_for_others_to_travel_with(store: SqliteStore) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        raise asyncio.CancelledError

    clock = Clock()
    worker = _worker(store, clock, ScriptedWire(_broken))
    worker.sleep = sleep
    await _keep(store, "a")
    clock.turn(seconds=0.04)
    with pytest.raises(asyncio.CancelledError):
        await worker.run()
    assert pauses == [pytest.approx(0.06)]


class SlowClaims:
    """The store, whose claims take their time to come back after they are on the disk."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.committed = asyncio.Event()
        self.come_back = asyncio.Event()
        self.next_due = store.next_due
        self.settle = store.settle

    async def claim(
        self, destination: str, limit: int, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """Claims, and waits."""
        claimed = await self.store.claim(destination, limit, lease, now)
        self.committed.set()
        await self.come_back.wait()
        return claimed


async def test_what_is_claimed_while_it_stops_is_still_sent(store: SqliteStore) -> None:
    clock, slow = Clock(), SlowClaims(store)
    worker = _worker(store, clock, ScriptedWire(lambda _: WireResponse(200, b"")))
    worker.store = cast("Store", slow)
    await _keep_unrecognisable(store, "a")
    clock.turn(seconds=1)
    running = asyncio.create_task(worker.run())
    await slow.committed.wait()
    running.cancel()
    slow.come_back.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await _states(store, "a") == {"a": State.DELIVERED}


async def test_no_fault_ends_the_loop(store: SqliteStore) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    log = Lines()
    worker = _worker(store, Clock(), ScriptedWire(_broken), log)
    worker.sleep = sleep
    worker.store = cast("Store", BrokenStore())
    with pytest.raises(asyncio.CancelledError):
        await worker.run()
    assert log.events == ["delivery.broken", "delivery.store_failed", "delivery.broken"]


class BrokenStore:
    """A store that fails in ways it should and in ways it should not."""

    def __init__(self) -> None:
        self.errors: list[Exception] = [KeyError(), StoreUnavailable("disk full"), OverflowError()]

    async def next_due(self, _: str) -> None:
        """Fails."""
        raise self.errors.pop(0)
