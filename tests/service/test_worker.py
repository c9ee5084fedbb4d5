"""The delivery loop over the real store, with a toy destination and a wire told what to answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from typing_extensions import override

from conversion_relay.core.delivery import (
    RetryPolicy,
    State,
    TransportFailure,
    WireResponse,
)
from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.core.lane import Condition, LanePolicy
from conversion_relay.core.plan import plan
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.dispatch import Dispatch
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import ClaimedDelivery, Disposition, NewEvent, Store
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.surroundings import Surroundings
from conversion_relay.service.worker import LINGER, Worker
from support.lines import Lines
from support.time import START, VirtualTime, Watched, Work, drive
from support.toy import Toy, hello, target

Answer = Callable[[bytes], WireResponse | TransportFailure]


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
    store: SqliteStore, clock: VirtualTime, wire: ScriptedWire, log: Log | None = None
) -> Worker:
    around = Surroundings(clock, lambda: 0.5, Metrics(), log or Lines(), clock.sleep)
    policy = LanePolicy(requests_per_second=1e9)  # time stands still between two steps
    lane = LaneKeeper("toy", "credential", "", store, policy, around)
    dispatch = Dispatch("toy", Toy(), wire, lane, store, RetryPolicy(), around)
    return Worker(dispatch, store, 4, around)


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
    worker = _worker(store, VirtualTime(), wire)
    await _keep(store, "a", "b", batch="left")
    await _keep(store, "c", batch="right")
    assert [await worker.step() for _ in range(3)] == [2, 1, 0]
    assert [content.partition(b":")[0] for content in wire.sent] == [b"left", b"right"]
    assert set((await _states(store, "a", "b", "c")).values()) == {State.DELIVERED}


async def test_a_poisoned_batch_costs_the_others_nothing(store: SqliteStore) -> None:
    def answer(content: bytes) -> WireResponse:
        return WireResponse(400 if b'"poison"' in content else 200, b"")

    wire, log = ScriptedWire(answer), Lines()
    worker = _worker(store, VirtualTime(), wire, log)
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


async def test_a_thousand_poisoned_events_of_one_batch_end_one_by_one(store: SqliteStore) -> None:
    """Each is named in turn, and its companions go again."""
    names = [f"poison-{number}" for number in range(1_000)]
    wire = ScriptedWire(lambda _: WireResponse(409, b""))
    worker = _worker(store, VirtualTime(), wire)
    worker.dispatch = replace(worker.dispatch, destination=replace(Toy(), max_batch=1_000))
    await _keep(store, *names)
    assert await worker.step() == 1_000
    assert len(wire.sent) == 1_000
    states = await _states(store, *names)
    assert set(states.values()) == {State.DEAD}


async def test_one_that_is_refused_like_a_wrong_token_stops_no_others(store: SqliteStore) -> None:
    """What stands in front of the partner takes offence at one event only."""

    def answer(content: bytes) -> WireResponse:
        return WireResponse(403 if b'"poison"' in content else 200, b"")

    clock, wire, log = VirtualTime(), ScriptedWire(answer), Lines()
    worker = _worker(store, clock, wire, log)
    await _keep(store, "poison")
    others = [f"good-{number}" for number in range(20)]
    for name in others:
        await worker.step()
        await _keep(store, name)
        clock.turn(seconds=25)
    for _ in range(40):
        await worker.step()
        clock.turn(seconds=25)
    states = await _states(store, "poison", *others)
    assert states.pop("poison") is State.DEAD
    assert set(states.values()) == {State.DELIVERED}
    (dead,) = await store.deliveries(["poison"])
    assert dead.reason == "forbidden, again and again while others are taken"


async def test_a_partner_that_refuses_the_token_now_and_then_kills_nothing(
    store: SqliteStore,
) -> None:
    turns = itertools.cycle([401, 401, 401, 200])
    clock, wire = VirtualTime(), ScriptedWire(lambda _: WireResponse(next(turns), b""))
    worker = _worker(store, clock, wire)
    names = [f"e-{number}" for number in range(30)]
    await _keep(store, *names)
    for _ in range(300):
        clock.turn(seconds=25)
        await worker.step()
    assert set((await _states(store, *names)).values()) == {State.DELIVERED}


async def test_a_former_pixel_stays_held_and_stops_nobody(store: SqliteStore) -> None:
    """What was made with a setting that the partner refuses goes on when that is mended."""

    def answer(content: bytes) -> WireResponse:
        return WireResponse(401 if content.startswith(b"former") else 200, b"")

    clock, wire = VirtualTime(), ScriptedWire(answer)
    worker = _worker(store, clock, wire)
    await _keep(store, "a", "b", batch="former")
    others = [f"good-{number}" for number in range(20)]
    for name in others:
        await _keep(store, name, batch="present")
        for _ in range(3):
            clock.turn(seconds=10)
            await worker.step()
    states = await _states(store, "a", "b", *others)
    assert [states.pop("a"), states.pop("b")] == [State.HELD, State.HELD]
    assert set(states.values()) == {State.DELIVERED}
    assert worker.lane.condition is Condition.FLOWING
    wire.answer = lambda _: WireResponse(200, b"")
    await worker.resume()
    await worker.step()
    assert set((await _states(store, "a", "b")).values()) == {State.DELIVERED}


async def test_one_that_is_never_answered_stops_no_others(store: SqliteStore) -> None:
    def answer(content: bytes) -> WireResponse | TransportFailure:
        silent = b'"poison"' in content
        return TransportFailure(certain=False, reason="none") if silent else WireResponse(200, b"")

    clock, wire = VirtualTime(), ScriptedWire(answer)
    worker = _worker(store, clock, wire)
    await _keep(store, "poison")
    for _ in range(10):
        await worker.step()
        clock.turn(seconds=25)
    assert worker.lane.condition is Condition.OPEN
    others = [f"good-{number}" for number in range(20)]
    await _keep(store, *others)
    for _ in range(20):
        await worker.step()
        clock.turn(seconds=25)
    states = await _states(store, "poison", *others)
    assert states.pop("poison") is State.PENDING
    assert set(states.values()) == {State.DELIVERED}


async def test_what_is_left_of_a_batch_at_the_stop_was_certainly_not_taken(
    store: SqliteStore,
) -> None:
    clock, wire = VirtualTime(), ScriptedWire(lambda _: WireResponse(400, b""))
    worker = _worker(store, clock, wire)
    await _keep_unrecognisable(store, "a")
    await _keep_unrecognisable(store, "b")

    def stop(_: bytes) -> WireResponse:
        raise asyncio.CancelledError

    def refuse(_: bytes) -> WireResponse:
        wire.answer = stop
        return WireResponse(400, b"")

    wire.answer = refuse
    with pytest.raises(asyncio.CancelledError):
        await worker.step()
    states = await _states(store, "a", "b")
    assert states == {"a": State.UNCERTAIN, "b": State.PENDING}


@pytest.mark.parametrize("certain", [True, False])
async def test_a_failure_is_tried_again_when_due(store: SqliteStore, certain: bool) -> None:
    answers: list[WireResponse | TransportFailure] = [
        TransportFailure(certain=certain, reason="down"),
        WireResponse(200, b""),
    ]
    wire, clock = ScriptedWire(lambda _: answers.pop(0)), VirtualTime()
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
    clock = VirtualTime()
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
    clock = VirtualTime()
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
    """In a lane that works: one that does not makes nothing too old."""

    def answer(content: bytes) -> WireResponse | TransportFailure:
        works = content.startswith(b"right")
        return WireResponse(200, b"") if works else TransportFailure(certain=True, reason="down")

    clock = VirtualTime()
    worker = _worker(store, clock, ScriptedWire(answer))
    await _keep(store, "a", batch="left")
    clock.turn(days=7)
    for number in range(3):
        assert await _states(store, "a") == {"a": State.PENDING}, "it gets its chances"
        await _keep(store, f"works-{number}", batch="right")
        assert [await worker.step(), await worker.step()] == [1, 1]
        clock.turn(minutes=1)
    assert await _states(store, "a") == {"a": State.DEAD}


async def test_a_lane_that_does_not_work_makes_nothing_too_old(store: SqliteStore) -> None:
    clock = VirtualTime()
    wire = ScriptedWire(lambda _: TransportFailure(certain=True, reason="down"))
    worker = _worker(store, clock, wire)
    await _keep(store, "a")
    for _ in range(30):
        clock.turn(days=1)
        await worker.step()
    assert len(wire.sent) == 30
    (record,) = await store.deliveries(["a"])
    assert (record.state, record.attempts) == (State.PENDING, 2), "probes burn no attempts"
    wire.answer = lambda _: WireResponse(200, b"")
    clock.turn(days=1)
    await worker.step()
    assert await _states(store, "a") == {"a": State.DELIVERED}


async def test_a_broken_answer_ends_neither_the_worker_nor_the_delivery(
    store: SqliteStore,
) -> None:
    def broken(_: bytes) -> WireResponse:
        raise ZeroDivisionError

    clock, log = VirtualTime(), Lines()
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
    clock, wire = VirtualTime(), ScriptedWire(_broken)
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
    clock, log = VirtualTime(), Lines()
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
    clock, wire, work = VirtualTime(), ScriptedWire(lambda _: WireResponse(200, b"")), Work()
    worker = _worker(cast("SqliteStore", Watched(store, work)), clock, wire)
    await _keep(store, "a")
    clock.turn(seconds=0.04)
    running = asyncio.create_task(worker.run())
    await drive(clock, work, lambda: clock.now > START + timedelta(seconds=0.05))
    assert clock.now == START + LINGER
    await drive(clock, work, lambda: bool(wire.sent))
    worker.stop()
    await running
    assert await _states(store, "a") == {"a": State.DELIVERED}


async def test_a_stop_at_once_is_not_slept_over(store: SqliteStore) -> None:
    clock, work = VirtualTime(), Work()
    worker = _worker(cast("SqliteStore", Watched(store, work)), clock, ScriptedWire(_broken))
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0)  # it begins, and asks the store how its lane was
    worker.stop()
    await drive(clock, work, running.done)
    assert clock.now == START


class SlowClaims:
    """The store, whose claims take their time to come back after they are on the disk."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.committed = asyncio.Event()
        self.come_back = asyncio.Event()
        self.next_due = store.next_due

    async def claim(
        self, destination: str, limit: int, lease: timedelta, now: datetime
    ) -> tuple[ClaimedDelivery, ...]:
        """Claims, and waits."""
        claimed = await self.store.claim(destination, limit, lease, now)
        self.committed.set()
        await self.come_back.wait()
        return claimed


async def test_what_is_claimed_while_it_stops_is_still_sent(store: SqliteStore) -> None:
    clock, slow = VirtualTime(), SlowClaims(store)
    worker = _worker(store, clock, ScriptedWire(lambda _: WireResponse(200, b"")))
    worker.store = cast("Store", slow)
    await _keep_unrecognisable(store, "a")
    clock.turn(seconds=1)
    running = asyncio.create_task(worker.run())
    await slow.committed.wait()
    worker.stop()
    slow.come_back.set()
    await running
    assert await _states(store, "a") == {"a": State.DELIVERED}


class HangingWire:
    """Never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def send(self, _: OutgoingRequest) -> WireResponse:
        """Waits for ever."""
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_request_that_hangs_is_given_back_at_the_stop(store: SqliteStore) -> None:
    clock, wire, log = VirtualTime(), HangingWire(), Lines()
    worker = _worker(store, clock, cast("ScriptedWire", wire), log)
    worker.finish_seconds = 0
    await _keep(store, "a")
    clock.turn(seconds=1)
    running = asyncio.create_task(worker.run())
    await wire.asked.wait()
    worker.stop()
    await running
    assert "delivery.left_unfinished" in log.events
    assert await _states(store, "a") == {"a": State.PENDING}
    (claim,) = await store.claim("toy", 1, timedelta(seconds=90), clock.now + timedelta(minutes=1))
    assert claim.first_unknown_at == clock.now, "it may have arrived"
    (request,) = await store.history.attempts(claim.id)
    assert (request.result, request.status) == ("unknown", None)


class HangingAtFirst:
    """Hangs for twenty seconds, and answers from a moment on."""

    def __init__(self, clock: VirtualTime, good_from: float) -> None:
        self.clock = clock
        self.good_at = clock.now + timedelta(seconds=good_from)
        self.sent: list[datetime] = []

    async def send(self, _: OutgoingRequest) -> WireResponse | TransportFailure:
        """Whatever is asked before is never answered."""
        self.sent.append(self.clock.now)
        if self.clock.now < self.good_at:
            await self.clock.sleep(20)
            return TransportFailure(certain=False, reason="no answer within 20 s")
        return WireResponse(200, b"")


@pytest.mark.parametrize("in_flight", [1, 2, 4])
@pytest.mark.parametrize("outage", [1, 15, 21, 25, 33, 39, 41, 45, 60])
async def test_delivery_resumes_within_thirty_seconds(
    store: SqliteStore, outage: float, in_flight: int
) -> None:
    """Even while every request and every probe hangs."""
    clock, work = VirtualTime(), Work()
    wire = HangingAtFirst(clock, outage)
    worker = _worker(cast("SqliteStore", Watched(store, work)), clock, cast("ScriptedWire", wire))
    worker.max_in_flight = in_flight
    await _keep(store, *(f"e-{number}" for number in range(60)))
    clock.turn(seconds=0.2)
    running = asyncio.create_task(worker.run())
    await drive(clock, work, lambda: any(at >= wire.good_at for at in wire.sent))
    assert wire.sent[-1] - wire.good_at <= timedelta(seconds=30)
    worker.stop()
    await drive(clock, work, running.done)


async def test_an_operator_is_not_waited_past(store: SqliteStore) -> None:
    clock, work = VirtualTime(), Work()
    wire = ScriptedWire(lambda _: WireResponse(403, b""))
    worker = _worker(cast("SqliteStore", Watched(store, work)), clock, wire)
    await _keep(store, "a", "b")
    clock.turn(seconds=1)
    running = asyncio.create_task(worker.run())
    for act in (worker.resume, lambda: worker.renew("renewed")):
        await drive(clock, work, lambda: worker.lane.condition is Condition.HELD)
        held_at, sent = clock.now, len(wire.sent)
        await act()
        await drive(clock, work, lambda: len(wire.sent) > sent)  # noqa: B023 - awaited here
        assert clock.now - held_at < timedelta(seconds=1)
    worker.stop()
    await drive(clock, work, running.done)


async def test_what_goes_again_is_not_waited_past(store: SqliteStore) -> None:
    """The end of a request wakes the loop: its events may be due before what it waits for."""
    answers = [TransportFailure(certain=True, reason="down")]
    clock, work = VirtualTime(), Work()

    def answer(_: bytes) -> WireResponse | TransportFailure:
        return answers.pop() if answers else WireResponse(200, b"")

    wire = ScriptedWire(answer)
    worker = _worker(cast("SqliteStore", Watched(store, work)), clock, wire)
    await _keep(store, "a")
    clock.turn(seconds=1)
    running = asyncio.create_task(worker.run())
    await drive(clock, work, lambda: len(wire.sent) == 2)
    assert clock.now - START < timedelta(seconds=2.5)
    worker.stop()
    await drive(clock, work, running.done)


async def test_a_fault_of_ours_opens_the_breaker(store: SqliteStore) -> None:
    clock, log = VirtualTime(), Lines()
    worker = _worker(store, clock, ScriptedWire(_broken), log)
    await _keep(store, *(f"e-{number}" for number in range(100)))
    for _ in range(6):
        clock.turn(seconds=5)
        await worker.step()
    assert worker.lane.condition is Condition.OPEN


async def test_a_late_answer_to_an_old_credential_holds_nothing(store: SqliteStore) -> None:
    class Renewing(ScriptedWire):
        async def send(self, request: OutgoingRequest) -> WireResponse | TransportFailure:
            """The credential is renewed while the request is on its way."""
            await worker.renew("renewed")
            return await ScriptedWire.send(self, request)

    wire = Renewing(lambda _: WireResponse(403, b""))
    worker = _worker(store, VirtualTime(), wire)
    await _keep(store, "a")
    await worker.step()
    assert worker.lane.condition is Condition.FLOWING
    assert await _states(store, "a") == {"a": State.PENDING}


async def test_no_fault_ends_the_loop(store: SqliteStore) -> None:
    clock, log, work = VirtualTime(), Lines(), Work()
    worker = _worker(store, clock, ScriptedWire(_broken), log)
    await worker.step()
    broken = BrokenStore()
    worker.store = cast("Store", broken)
    running = asyncio.create_task(worker.run())
    await drive(clock, work, lambda: not broken.errors)
    worker.stop()
    await drive(clock, work, running.done)
    assert log.events == ["delivery.broken", "delivery.store_failed", "delivery.broken"]


class BrokenStore:
    """A store that fails in ways it should and in ways it should not."""

    def __init__(self) -> None:
        self.errors: list[Exception] = [KeyError(), StoreUnavailable("disk full"), OverflowError()]

    async def next_due(self, _: str) -> None:
        """Fails."""
        raise self.errors.pop(0)


class SilentWire(ScriptedWire):
    """Never answers."""

    @override
    async def send(self, request: OutgoingRequest) -> WireResponse | TransportFailure:
        """Waits for ever."""
        await asyncio.Event().wait()
        return TransportFailure(certain=True, reason="nobody comes here")


@pytest.mark.parametrize(
    ("names", "wire"),
    [
        ((), ScriptedWire(lambda _: WireResponse(200, b""))),
        (("a",), ScriptedWire(lambda _: WireResponse(401, b""))),
        (("a",), SilentWire(lambda _: WireResponse(200, b""))),
    ],
    ids=["for work", "for its lane", "for an answer"],
)
async def test_a_worker_looks_every_few_seconds_whatever_it_waits_for(
    store: SqliteStore, names: tuple[str, ...], wire: ScriptedWire
) -> None:
    """One that has not looked for half a minute is stuck."""
    clock, work = VirtualTime(), Work()
    worker = _worker(cast("SqliteStore", Watched(store, work)), clock, wire)
    worker.max_in_flight = 1
    worker.finish_seconds = 0.0
    await _keep(store, *names)
    running = asyncio.create_task(worker.run())
    await drive(clock, work, lambda: worker.last_turn_at is not None)
    for _ in range(20):
        before = worker.last_turn_at or START
        await drive(clock, work, partial(_is_later, worker, before))
        assert clock.now - before <= timedelta(seconds=5)
    worker.stop()
    await drive(clock, work, running.done)


def _is_later(worker: Worker, before: datetime) -> bool:
    return worker.last_turn_at is not None and worker.last_turn_at > before
