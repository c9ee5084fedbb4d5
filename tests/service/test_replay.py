"""A page of a replay: planned as of the day the event came, told to the workers, never twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import orjson
import pytest

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.service.cases import Fate, Wanted
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.replay import NO_NAME, Replay, Source, element_of, segment_name
from conversion_relay.service.store.port import (
    Disposition,
    EventPage,
    KeptEvent,
    NewEvent,
    Requeue,
    Selection,
    Settlement,
    Store,
)
from service.store.conftest import ENGINES, new_engine
from support.lines import Lines
from support.toy import hello, target

CAME = datetime(2026, 1, 14, 9, 30, tzinfo=UTC)
TODAY = CAME + timedelta(days=2)
LEASE = timedelta(seconds=60)
UNPLANNED = Wanted(Selection(dispositions=frozenset({Disposition.UNMATCHED})))
HIDDEN = Wanted(Selection(dispositions=frozenset({Disposition.QUARANTINED})))
PENDING = Wanted(Selection(states=frozenset({State.PENDING})))
HELLO = orjson.dumps(hello().payload)


@dataclass(slots=True)
class Bench:
    """A store, the replay over it, and how often the workers were told."""

    store: Store
    replay: Replay
    told: list[None] = field(default_factory=list)

    async def keep(
        self, original: bytes, disposition: Disposition = Disposition.UNMATCHED
    ) -> None:
        """An event of which nothing was made."""
        event = NewEvent("default", "m-1", "track", CAME, original, disposition)
        await self.store.append([event])

    async def keep_hidden(self, *message_ids: str) -> None:
        """The same event, in quarantine under ids of the relay's own."""
        for one in message_ids:
            event = NewEvent("default", one, "", CAME, HELLO, Disposition.QUARANTINED)
            await self.store.append([event])


@pytest.fixture(params=ENGINES)
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    engine = await asyncio.to_thread(new_engine, request.param, tmp_path)
    store = await engine.open()
    told: list[None] = []
    log = Lines()
    planner = Planner({"default": (target(),)}, 64 * 1024, lambda: TODAY, log)
    arrived = lambda: told.append(None)  # noqa: E731 - a callback in one word
    yield Bench(store, Replay(store, planner.plan_received, lambda: TODAY, arrived, log), told)
    await engine.close()


async def test_it_is_planned_as_of_the_day_it_came_and_due_today(bench: Bench) -> None:
    await bench.keep(HELLO)
    page = await bench.replay.send(UNPLANNED, Source.ORIGINAL, 0)
    assert (page.counts, page.after) == ({("Hello", Fate.SENT): 1}, None)
    assert await bench.store.claim("toy", 10, LEASE, TODAY - timedelta(seconds=1)) == ()
    (claim,) = await bench.store.claim("toy", 10, LEASE, TODAY)
    assert orjson.loads(claim.body)["at"] == CAME.isoformat()
    assert (claim.event_id, claim.accepted_at) == ("m-1", TODAY)


async def test_the_workers_are_told_only_when_there_is_something(bench: Bench) -> None:
    await bench.keep(HELLO)
    await bench.replay.preview(UNPLANNED, Source.ORIGINAL, 0)
    assert bench.told == []
    await bench.replay.send(UNPLANNED, Source.ORIGINAL, 0)
    assert bench.told == [None]
    again = await bench.replay.send(UNPLANNED, Source.ORIGINAL, 0)
    assert (again.counts, bench.told) == ({}, [None])


async def test_two_at_once_send_it_once(bench: Bench) -> None:
    """Both have looked before either writes; what the second finds then is another state."""
    await bench.keep(HELLO)
    (found,) = (await bench.store.select(UNPLANNED.selection, 0, 10)).events
    await bench.replay.send(UNPLANNED, Source.ORIGINAL, 0)
    late = replace(bench.replay, store=cast("Store", _Stale(bench.store, found)))
    page = await late.send(UNPLANNED, Source.ORIGINAL, 0)
    assert page.counts == {("Hello", Fate.CHANGED): 1}
    assert (await bench.store.totals()).deliveries == {("toy", State.PENDING): 1}


async def test_of_two_in_quarantine_with_one_id_a_dry_run_counts_the_one_that_goes(
    bench: Bench,
) -> None:
    await bench.keep_hidden("hidden-1", "hidden-2")
    expected = {("Hello", Fate.SENT): 1, ("Hello", Fate.CHANGED): 1}
    assert (await bench.replay.preview(HIDDEN, Source.ORIGINAL, 0)).counts == expected
    assert (await bench.replay.send(HIDDEN, Source.ORIGINAL, 0)).counts == expected


async def test_an_id_of_another_event_is_not_counted_as_sent(bench: Bench) -> None:
    await bench.keep(HELLO)
    await bench.keep_hidden("hidden-1")
    expected = {("Hello", Fate.CHANGED): 1}
    assert (await bench.replay.preview(HIDDEN, Source.ORIGINAL, 0)).counts == expected
    assert (await bench.replay.send(HIDDEN, Source.ORIGINAL, 0)).counts == expected


async def test_what_is_pending_is_left_alone_unless_it_would_change(bench: Bench) -> None:
    await bench.keep(HELLO)
    await bench.replay.send(UNPLANNED, Source.ORIGINAL, 0)
    page = await bench.replay.send(PENDING, Source.ORIGINAL, 0)
    assert page.counts == {("Hello", Fate.UNDER_WAY): 1}
    event = (await bench.store.select(PENDING.selection, 0, 1)).events[0]
    old = bench.replay.replan("default", decode_hello(), TODAY, None).deliveries[0]
    replaced = Requeue(event.id, event.deliveries[0].record, old)
    assert await bench.store.requeue([replaced], TODAY) == (True,)
    page = await bench.replay.send(PENDING, Source.ORIGINAL, 0)
    assert page.counts == {("Hello", Fate.SENT): 1}


async def test_discarded_is_what_the_store_says(bench: Bench) -> None:
    """What was discarded, or went, between look and act is not counted."""
    await bench.keep(HELLO)
    await bench.replay.send(UNPLANNED, Source.ORIGINAL, 0)
    (claim,) = await bench.store.claim("toy", 10, LEASE, TODAY)
    dead = Transition(State.DEAD, Cause.REFUSED, None, "no")
    await bench.store.settle([Settlement(claim.id, claim.fence, dead)], TODAY)
    wanted = Wanted(Selection(states=frozenset({State.DEAD})))
    (found,) = (await bench.store.select(wanted.selection, 0, 10)).events
    assert (await bench.replay.discard(wanted, 0)).counts == {"Hello": 1}
    late = replace(bench.replay, store=cast("Store", _Stale(bench.store, found)))
    assert (await late.discard(wanted, 0)).counts == {}


@dataclass(frozen=True, slots=True)
class _Still:
    """A store that answers at once with twenty events."""

    async def select(self, *_: object) -> EventPage:
        unmatched = Disposition.UNMATCHED
        event = KeptEvent(1, "default", "m-1", "track", CAME, unmatched, None, (), (), HELLO)
        return EventPage((event,) * 20, None, 1.0)


async def test_others_have_the_loop_between_two_events(bench: Bench) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    still = replace(bench.replay, store=cast("Store", _Still()))
    await still.discardable(UNPLANNED, 0)
    task.cancel()
    assert turns >= 19


def decode_hello() -> Decoded:
    found = element_of(HELLO)
    assert isinstance(found, Decoded)
    return found


@dataclass(frozen=True, slots=True)
class _Stale:
    """A store that shows an event as it was."""

    store: Store
    event: KeptEvent

    async def select(self, *_: object) -> EventPage:
        return EventPage((self.event,), None, 1.0)

    async def requeue(self, requeues: Sequence[Requeue], now: datetime) -> tuple[bool, ...]:
        return await self.store.requeue(requeues, now)

    async def discard(
        self, deliveries: Sequence[int], reason: str, now: datetime
    ) -> frozenset[int]:
        return await self.store.discard(deliveries, reason, now)


@pytest.mark.parametrize("original", [b"\xff", b"5", b"{", b"[" * 100_000])
async def test_what_is_no_event_is_none_today_either(bench: Bench, original: bytes) -> None:
    await bench.keep(original, Disposition.QUARANTINED)
    wanted = Wanted(Selection(dispositions=frozenset({Disposition.QUARANTINED})))
    page = await bench.replay.send(wanted, Source.ORIGINAL, 0)
    assert page.counts == {(NO_NAME, Fate.NO_EVENT): 1}
    assert all(note.reason for note in page.reasons)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b'{"event":"Hello","type":"track"}', "Hello"),
        (b'{"type":"page"}', "page"),
        (b'{"event":5,"type":"track"}', "track"),
        (b'{"event":"","type":""}', None),
        (b"[]", None),
        (b"\xff", None),
    ],
)
def test_the_name_of_an_event(text: bytes, name: str | None) -> None:
    element = element_of(text)
    assert isinstance(element, Decoded | Unusable)
    assert segment_name(element) == name
    assert element_of(None) is None
