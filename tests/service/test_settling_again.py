"""What a partner answered is written down although the database is away for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from conversion_relay.core.delivery import RetryPolicy, State, WireResponse
from conversion_relay.core.destination import OutgoingRequest
from conversion_relay.core.lane import LanePolicy
from conversion_relay.core.plan import plan
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.dispatch import LEASE, Dispatch
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    NewEvent,
    RequestRecord,
    Settlement,
    Store,
)
from conversion_relay.service.store.sqlite import SqliteStore, open_store
from conversion_relay.service.surroundings import Surroundings
from support.lines import Lines
from support.time import START, VirtualTime
from support.toy import Toy, hello, target

NAMES = ("a", "b", "c")


class Failover:
    """A store that records no end for a while: of the first, only the answer is lost."""

    def __init__(self, store: SqliteStore, clock: VirtualTime, lasting: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._until = clock.now + lasting
        self.tries = 0

    def __getattr__(self, name: str) -> object:
        """Everything else works."""
        return getattr(self._store, name)

    async def settle(
        self,
        settlements: Sequence[Settlement],
        now: datetime,
        request: RequestRecord | None = None,
    ) -> int:
        """Fails until it is over."""
        self.tries += 1
        if self.tries == 1:
            await self._store.settle(settlements, now, request)
        if self._clock.now < self._until:
            raise StoreUnavailable("the database cannot be used: it is starting or stopping")
        return await self._store.settle(settlements, now, request)


class Taking:
    """A wire to somebody who takes everything."""

    async def send(self, _: OutgoingRequest) -> WireResponse:
        """Taken."""
        return WireResponse(200, b"")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path / "relay.db", Sealer((bytes(32),)))
    yield opened
    await opened.close()


async def claimed(store: SqliteStore) -> Sequence[ClaimedDelivery]:
    """The deliveries of three greetings."""
    planned = [
        plan(hello(name, message_id=name, batch="one"), [target()], START).deliveries
        for name in NAMES
    ]
    await store.append(
        [
            NewEvent("default", name, "track", START, b"{}", Disposition.PLANNED, deliveries)
            for name, deliveries in zip(NAMES, planned, strict=True)
        ]
    )
    return await store.claim("toy", 10, LEASE, START)


def dispatch_over(failing: Failover, clock: VirtualTime, log: Lines) -> Dispatch:
    """Sends, and records through the store that fails."""
    store = cast("Store", failing)
    around = Surroundings(clock, lambda: 0.5, Metrics(), log, clock.sleep)
    lane = LaneKeeper("toy", "credential", "", store, LanePolicy(), around)
    return Dispatch("toy", Toy(), Taking(), lane, store, RetryPolicy(), around)


async def run_through(delivering: asyncio.Task[None], clock: VirtualTime) -> None:
    """Lets time pass whenever it sleeps."""
    async with asyncio.timeout(20):
        while not delivering.done():
            wake = clock.next_wake()
            if wake is not None:
                clock.turn_to(wake)
            await asyncio.sleep(0.001)
    await delivering


async def states(store: SqliteStore) -> list[State]:
    return [record.state for record in await store.deliveries(NAMES)]


@pytest.mark.parametrize("seconds", [0.0, 5.0, 60.0])
async def test_what_was_accepted_is_settled_once_the_database_is_back(
    store: SqliteStore, seconds: float
) -> None:
    clock, log = VirtualTime(), Lines()
    batch = await claimed(store)
    failing = Failover(store, clock, timedelta(seconds=seconds))
    dispatch = dispatch_over(failing, clock, log)
    await run_through(asyncio.create_task(dispatch.deliver(batch, START)), clock)
    assert await states(store) == [State.DELIVERED] * 3
    assert clock.now - START == timedelta(seconds=seconds)
    assert "delivery.not_settled" not in log.events
    assert log.events.count("delivery.delivered") in {0, 3}


async def test_it_is_given_up_when_somebody_else_may_have_taken_over(store: SqliteStore) -> None:
    clock, log = VirtualTime(), Lines()
    batch = await claimed(store)
    failing = Failover(store, clock, timedelta(hours=1))
    failing.tries = 1
    dispatch = dispatch_over(failing, clock, log)
    await run_through(asyncio.create_task(dispatch.deliver(batch, START)), clock)
    assert await states(store) == [State.CLAIMED] * 3
    assert log.events == ["delivery.not_settled"]
    assert clock.now - START == LEASE


async def test_who_stops_does_not_wait_for_the_database(store: SqliteStore) -> None:
    clock = VirtualTime()
    batch = await claimed(store)
    failing = Failover(store, clock, timedelta(hours=1))
    delivering = asyncio.create_task(dispatch_over(failing, clock, Lines()).deliver(batch, START))
    async with asyncio.timeout(20):
        while clock.next_wake() is None:  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.001)
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering
