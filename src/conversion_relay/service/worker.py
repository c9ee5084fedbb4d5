"""Delivers what is kept for one target: claim → send → read the answer → settle.

Knows the store and the wire by their ports; what an answer means is the destination's to say, and
what follows from it the retry policy's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from conversion_relay.core.delivery import (
    Accepted,
    Deferred,
    History,
    Outcome,
    RetryPolicy,
    State,
    Suspect,
    Transition,
    TransportFailure,
    Unknown,
    WireResponse,
)
from conversion_relay.core.destination import Destination, OutgoingRequest
from conversion_relay.errors import StoreError
from conversion_relay.service.logs import Log, fault
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import ClaimedDelivery, Settlement, Store

LEASE: Final = timedelta(seconds=90)
"""Longer than one send may take, so that no other worker takes over what is on its way."""
LINGER: Final = timedelta(milliseconds=100)
"""How long a delivery waits for others to travel with."""
_SEND_ROOM: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = timedelta(seconds=5)
_PAUSE_SECONDS: Final = 1.0
_FINISH_SECONDS: Final = 8.0
_TOO_LATE: Final = Deferred("refused together with others; the lease is nearly over")
_SAD_ENDS: Final = {State.DEAD: "delivery.dead", State.UNCERTAIN: "delivery.uncertain"}


class Wire(Protocol):
    """What a worker asks of a sender."""

    async def send(self, request: OutgoingRequest) -> WireResponse | TransportFailure:
        """What came back."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """Where a target's deliveries go.

    Attributes:
        name: of the target.
        destination: builds requests and reads answers.
        credential: sent with each request; never logged.
        wire: to the destination's API.
        max_in_flight: requests at the same time.
    """

    name: str
    destination: Destination
    credential: str = field(repr=False)
    wire: Wire
    max_in_flight: int = 4


@dataclass(slots=True)
class Worker:
    """The delivery loop of one target.

    Attributes:
        route: where deliveries go.
        store: where they come from.
        policy: when to try again.
        clock: gives the present, aware.
        jitter: gives a number in [0, 1).
        metrics: counters.
        log: one line for each decision.
        sleep: waits so many seconds after a fault.
    """

    route: Route
    store: Store
    policy: RetryPolicy
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    metrics: Metrics
    log: Log
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    def wake(self) -> None:
        """There is something to deliver."""
        self._arrived.set()

    async def run(self) -> None:
        """Delivers until cancelled, then waits a while for what is on its way."""
        try:
            while True:
                await self._turn_or_pause()
        finally:
            await self._finish()

    async def _finish(self) -> None:
        """What is not answered in time stays claimed: its outcome is unknown."""
        if not self._sending:
            return
        _, hanging = await asyncio.wait(self._sending, timeout=_FINISH_SECONDS)
        for task in hanging:
            task.cancel()
        if hanging:
            self.log.warning("delivery.left_unfinished", requests=len(hanging))
            await asyncio.wait(hanging)

    async def _turn_or_pause(self) -> None:
        """One turn; whatever goes wrong in it, the next one comes."""
        try:
            await self._turn()
        except StoreError as error:
            self.log.error("delivery.store_failed", destination=self.route.name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end delivery
            self.log.error("delivery.broken", destination=self.route.name, **fault(error))
        else:
            return
        await self.sleep(_PAUSE_SECONDS)

    async def _turn(self) -> None:
        """Claims one batch and sends it beside the others, or waits for something to do."""
        self._arrived.clear()
        if len(self._sending) >= self.route.max_in_flight:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            return
        due = await self.store.next_due(self.route.name)
        now = self.clock()
        if due is None or due > now:
            await self._wait(_LONGEST_WAIT if due is None else min(due - now, _LONGEST_WAIT))
            return
        if now - due < LINGER:
            await self.sleep((LINGER - (now - due)).total_seconds())
        claim = asyncio.create_task(self._claim())
        try:
            self._send_beside(await asyncio.shield(claim))
        except asyncio.CancelledError:
            # The claim may be on the disk already: dropped, it would count as sent.
            with contextlib.suppress(Exception):
                self._send_beside(await claim)
            raise

    def _send_beside(self, batch: Sequence[ClaimedDelivery]) -> None:
        task = asyncio.create_task(self._deliver_and_record(batch))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def step(self) -> int:
        """Delivers one batch, if one is due; gives how many deliveries it held."""
        batch = await self._claim()
        if batch:
            await self._deliver_and_record(batch)
        return len(batch)

    async def _claim(self) -> tuple[ClaimedDelivery, ...]:
        limit = self.route.destination.max_batch
        return await self.store.claim(self.route.name, limit, LEASE, self.clock())

    async def _wait(self, longest: timedelta) -> None:
        """Until something arrives, or so long."""
        # Not wait_for: until Python 3.12 it swallows a cancellation that meets the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest.total_seconds()):
                await self._arrived.wait()

    async def _deliver_and_record(self, batch: Sequence[ClaimedDelivery]) -> None:
        """Sends the batch and settles it; a fault of ours leaves it to the end of the lease."""
        until = self.clock() + LEASE - _SEND_ROOM
        try:
            sendable = await self._set_aside(batch)
            if sendable:
                await self._deliver(sendable, until)
        except StoreError as error:
            self.log.error("delivery.not_settled", destination=self.route.name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - one broken batch must not end the loop
            self.log.error("delivery.broken", destination=self.route.name, **fault(error))
        finally:
            self.wake()  # what has to go again may be due before what the loop waits for

    async def _set_aside(self, batch: Sequence[ClaimedDelivery]) -> list[ClaimedDelivery]:
        """Parks what may have arrived and must not go again; gives the others."""
        now = self.clock()
        parked: list[tuple[ClaimedDelivery, Transition]] = []
        sendable: list[ClaimedDelivery] = []
        for delivery in batch:
            transition = self.policy.before_sending(_history(delivery), now)
            if transition is None:
                sendable.append(delivery)
            else:
                parked.append((delivery, transition))
        await self._record(parked, now)
        return sendable

    async def _deliver(self, batch: Sequence[ClaimedDelivery], until: datetime) -> None:
        """One request; a batch refused without a name is halved and sent again at once."""
        reply = await self._send(batch)
        outcomes = self._outcomes(len(batch), reply)
        ends = list(zip(batch, outcomes, strict=True))
        await self._settle([end for end in ends if not isinstance(end[1], Suspect)])
        self._tell(outcomes, reply)
        suspects = [delivery for delivery, outcome in ends if isinstance(outcome, Suspect)]
        middle = (len(suspects) + 1) // 2
        for half in filter(None, (suspects[:middle], suspects[middle:])):
            if self.clock() < until:
                await self._deliver(half, until)
            else:
                await self._settle([(delivery, _TOO_LATE) for delivery in half])

    async def _send(self, batch: Sequence[ClaimedDelivery]) -> WireResponse | TransportFailure:
        bodies = [delivery.body for delivery in batch]
        credential = self.route.credential
        request = self.route.destination.request(batch[0].envelope, bodies, credential)
        return await self.route.wire.send(request)

    def _outcomes(self, size: int, reply: WireResponse | TransportFailure) -> tuple[Outcome, ...]:
        if isinstance(reply, WireResponse):
            return self.route.destination.outcomes(size, reply)
        return ((Deferred if reply.certain else Unknown)(reply.reason),) * size

    async def _settle(self, ends: Sequence[tuple[ClaimedDelivery, Outcome]]) -> None:
        now = self.clock()
        settled = [
            (delivery, self.policy.settle(outcome, _history(delivery), now, self.jitter()))
            for delivery, outcome in ends
        ]
        await self._record(settled, now)

    async def _record(
        self, ends: Sequence[tuple[ClaimedDelivery, Transition]], now: datetime
    ) -> None:
        """Writes the ends down first; only what is written is counted and logged."""
        if not ends:
            return
        await self.store.settle([Settlement(one.id, one.fence, end) for one, end in ends], now)
        for state, count in Counter(end.state for _, end in ends).items():
            self.metrics.settled.labels(self.route.name, state.value).inc(count)
        for delivery, end in ends:
            if end.state in _SAD_ENDS:
                self._mourn(delivery, end)

    def _tell(self, outcomes: Sequence[Outcome], reply: WireResponse | TransportFailure) -> None:
        """One line for each request, and a count."""
        failed = next((outcome for outcome in outcomes if not isinstance(outcome, Accepted)), None)
        result = "accepted" if failed is None else type(failed).__name__.lower()
        self.metrics.requests.labels(self.route.name, result).inc()
        details: dict[str, object] = {
            "destination": self.route.name,
            "events": len(outcomes),
            "status": reply.status if isinstance(reply, WireResponse) else None,
        }
        if failed is not None:
            self.log.warning("delivery.failed", result=result, reason=failed.reason, **details)
            return
        notes = {outcome.note for outcome in outcomes if isinstance(outcome, Accepted)} - {None}
        self.log.info("delivery.accepted", **details, notes=sorted(notes, key=str))

    def _mourn(self, delivery: ClaimedDelivery, end: Transition) -> None:
        self.log.error(
            _SAD_ENDS[end.state],
            destination=self.route.name,
            mapping=delivery.mapping,
            event_name=delivery.event_name,
            message_id=delivery.message_id,
            reason=end.reason,
        )


def _history(delivery: ClaimedDelivery) -> History:
    return History(
        delivery.attempts,
        delivery.accepted_at,
        delivery.first_unknown_at,
        recognisable=delivery.event_id is not None,
    )
