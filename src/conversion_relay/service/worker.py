"""The delivery loop of one target: what its lane permits is claimed and sent.

Knows when; how a batch is sent and recorded is `dispatch`, whether it may be sent the lane's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from conversion_relay.core.lane import Go, Lane, Wait
from conversion_relay.errors import StoreError
from conversion_relay.service.dispatch import LEASE, Dispatch
from conversion_relay.service.logs import fault
from conversion_relay.service.store.port import ClaimedDelivery, Store
from conversion_relay.service.surroundings import Surroundings

LINGER: Final = timedelta(milliseconds=100)
"""How long a delivery waits for others to travel with."""
RETIRED_SECONDS: Final = 30.0
"""Longer than a send may take."""
_LONGEST_WAIT: Final = timedelta(seconds=5)
_PAUSE_SECONDS: Final = 1.0
_Awaited: TypeAlias = asyncio.Future[None] | asyncio.Future[Literal[True]]


@dataclass(slots=True)
class Worker:
    """Delivers what is kept for one target.

    Attributes:
        dispatch: sends a batch.
        store: where deliveries come from.
        max_in_flight: requests at the same time.
        around: time and log.
        finish_seconds: how long what is on its way may take at the stop.
        sending: what is on its way.
        last_turn_at: when it last looked for something to do; it does so every few seconds.
    """

    dispatch: Dispatch
    store: Store
    max_in_flight: int
    around: Surroundings
    finish_seconds: float = 8.0
    sending: set[asyncio.Task[None]] = field(default_factory=set)
    last_turn_at: datetime | None = None
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _begun: bool = False
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """Of the target."""
        return self.dispatch.name

    @property
    def lane(self) -> Lane:
        """How its lane is now."""
        return self.dispatch.lane.lane

    def wake(self) -> None:
        """There is something to deliver, or to look at."""
        self._arrived.set()

    def heard(self) -> None:
        """Another node changed the lane."""
        self.dispatch.lane.heard()
        self.wake()

    async def resume(self) -> None:
        """An operator says that what held the lane is mended."""
        await self.dispatch.lane.resume()
        self.wake()

    async def renew(self, credential: str) -> None:
        """Another credential from now on."""
        await self.dispatch.lane.renew(credential)
        self.wake()

    def stop(self) -> None:
        """Claim nothing more; `run` comes back once what is on its way has ended."""
        self._stopping.set()
        self.wake()

    def retire(self) -> None:
        """Another worker is in the place of this one: it only ends what is on its way."""
        self.finish_seconds = RETIRED_SECONDS
        self.dispatch.lane.retire()
        self.stop()

    def hurry(self) -> None:
        """What is still on its way is given back: its outcome is unknown."""
        for task in self.sending:
            task.cancel()

    async def run(self) -> None:
        """Delivers until `stop`, then waits a while for what is on its way."""
        while not self._stopping.is_set():
            await self._turn_or_pause()
        await self._finish()

    async def step(self) -> int:
        """Delivers what the lane permits now, if anything is due; gives how many those were."""
        await self._begin()
        asked_at = self.around.clock()
        batch = await self._claim()
        if batch:
            await self.dispatch.deliver(batch, asked_at)
        return len(batch)

    async def _finish(self) -> None:
        """What is not answered in time is given back: its outcome is unknown."""
        if not self.sending:
            return
        _, hanging = await asyncio.wait(self.sending, timeout=self.finish_seconds)
        for task in hanging:
            task.cancel()
        if hanging:
            self.around.log.warning("delivery.left_unfinished", requests=len(hanging))
            await asyncio.wait(hanging)

    async def _turn_or_pause(self) -> None:
        """One turn; whatever goes wrong in it, the next one comes."""
        try:
            await self._begin()
            await self._turn()
        except StoreError as error:
            self.around.log.error(
                "delivery.store_failed", destination=self.name, reason=str(error)
            )
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end delivery
            self.around.log.error("delivery.broken", destination=self.name, **fault(error))
        else:
            return
        await self.around.sleep(_PAUSE_SECONDS)

    async def _begin(self) -> None:
        if not self._begun:
            await self.dispatch.lane.begin()
            self._begun = True

    async def _turn(self) -> None:
        """Sends one batch beside the others, or waits for something to do."""
        self._arrived.clear()
        self.last_turn_at = self.around.clock()
        if self._stopping.is_set():
            return
        permit = await self.dispatch.lane.look()
        if isinstance(permit, Wait):
            await self._wait_at_most(permit.until, self.around.clock())
            return
        if len(self.sending) >= self.max_in_flight:
            await self._wait_for_an_end()
            return
        if isinstance(permit, Go) and not await self._is_due():
            return
        if not await self._send_next():
            await self._wait_for_a_due_one()

    async def _send_next(self) -> bool:
        """Whether something could be claimed; what is done with it belongs to its trace."""
        asked_at = self.around.clock()
        with self.around.tracer.span("claim", destination=self.name) as span:
            batch = await self._claim()
            span.note(deliveries=len(batch))
            if batch:
                self._send_beside(batch, asked_at)
        return bool(batch)

    async def _is_due(self) -> bool:
        """Whether something is, and has waited for others; else waits until that may be."""
        due, now = await self.store.next_due(self.name), self.around.clock()
        if due is None or due > now:
            await self._wait_at_most(due, now)
            return False
        if now - due < LINGER:
            await self.around.sleep((LINGER - (now - due)).total_seconds())
        return not self._stopping.is_set()

    async def _wait_for_a_due_one(self) -> None:
        """Nothing could be claimed: what is due by now is not for us to send."""
        due, now = await self.store.next_due(self.name), self.around.clock()
        await self._wait_at_most(due if due is not None and due > now else None, now)

    async def _wait_at_most(self, due: datetime | None, now: datetime) -> None:
        latest = now + _LONGEST_WAIT
        await self._wait(latest if due is None else min(due, latest))

    async def _claim(self) -> tuple[ClaimedDelivery, ...]:
        """What the lane permits now; it learns of it at once, before the next turn asks again."""
        lane = self.dispatch.lane
        permit = await lane.take()
        if isinstance(permit, Wait):
            return ()
        if isinstance(permit, Go):
            most = min(permit.most, self.dispatch.destination.max_batch)
            batch = await self.store.claim(self.name, most, LEASE, self.around.clock())
        else:
            batch = await self._claim_probe()
        if batch:
            lane.sent()
        else:
            await lane.give_back()
        return batch

    async def _claim_probe(self) -> tuple[ClaimedDelivery, ...]:
        """One that may be sent; what may not is parked on the way, and costs no probe."""
        while not self._stopping.is_set():
            found = await self.store.claim_probe(self.name, LEASE, self.around.clock())
            if not found or await self.dispatch.set_aside(found):
                return found
        return ()

    def _send_beside(self, batch: Sequence[ClaimedDelivery], claimed_at: datetime) -> None:
        task = asyncio.create_task(self._deliver(batch, claimed_at))
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)

    async def _deliver(self, batch: Sequence[ClaimedDelivery], claimed_at: datetime) -> None:
        try:
            await self.dispatch.deliver(batch, claimed_at)
        finally:
            self.wake()  # what has to go again may be due before what the loop waits for

    async def _wait(self, until: datetime) -> None:
        """Until something arrives, or then."""
        seconds = max(0.0, (until - self.around.clock()).total_seconds())
        await self._first_of(
            asyncio.ensure_future(self._arrived.wait()),
            asyncio.ensure_future(self.around.sleep(seconds)),
        )

    async def _wait_for_an_end(self) -> None:
        """Until a request has ended, or it is time to look again."""
        await self._first_of(
            *self.sending,
            asyncio.ensure_future(self._stopping.wait()),
            asyncio.ensure_future(self.around.sleep(_LONGEST_WAIT.total_seconds())),
        )

    async def _first_of(self, *awaited: _Awaited) -> None:
        """Until one of these is done; the others go on only if they are requests."""
        try:
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in awaited:
                if one not in self.sending:
                    one.cancel()
