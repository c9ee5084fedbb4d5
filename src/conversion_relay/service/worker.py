"""Delivers what is kept for one target: claim → send → read the answer → settle.

Knows the store and the wire by their ports; what an answer means is the destination's to say, and
what follows from it the retry policy's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
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
    TransportFailure,
    Unknown,
    WireResponse,
)
from conversion_relay.core.destination import Destination, OutgoingRequest
from conversion_relay.errors import StoreError
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import ClaimedDelivery, Settlement, Store

LEASE: Final = timedelta(seconds=90)
"""Longer than one send may take, so that no other worker takes over what is on its way."""
_SEND_ROOM: Final = timedelta(seconds=30)
_LONGEST_WAIT_SECONDS: Final = 5.0
_STORE_PAUSE_SECONDS: Final = 1.0
_FINISH_SECONDS: Final = 8.0
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
    """

    route: Route
    store: Store
    policy: RetryPolicy
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    metrics: Metrics
    log: Log
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    def wake(self) -> None:
        """There is something to deliver."""
        self._arrived.set()

    async def run(self) -> None:
        """Delivers until cancelled, then waits a while for what is on its way."""
        try:
            while True:
                await self._turn()
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

    async def _turn(self) -> None:
        """Claims one batch and sends it beside the others, or waits for something to do."""
        self._arrived.clear()
        try:
            if len(self._sending) >= self.route.max_in_flight:
                await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
                return
            batch = await self._claim()
            if not batch:
                await self._wait()
                return
        except StoreError as error:
            self.log.error("delivery.store_failed", destination=self.route.name, reason=str(error))
            await asyncio.sleep(_STORE_PAUSE_SECONDS)
            return
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

    async def _wait(self) -> None:
        due = await self.store.next_due(self.route.name)
        seconds = _LONGEST_WAIT_SECONDS
        if due is not None:
            seconds = min(seconds, max(0.0, (due - self.clock()).total_seconds()))
        # Not wait_for: until Python 3.12 it swallows a cancellation that meets the event.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()

    async def _deliver_and_record(self, batch: Sequence[ClaimedDelivery]) -> None:
        """Sends the batch and settles it; a fault of ours leaves it to the end of the lease."""
        until = self.clock() + LEASE - _SEND_ROOM
        try:
            await self._deliver(batch, until)
        except StoreError as error:
            self.log.error("delivery.not_settled", destination=self.route.name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - one broken batch must not end the loop
            self.log.error(
                "delivery.broken", destination=self.route.name, kind=type(error).__name__
            )
        finally:
            self.wake()  # what has to go again may be due before what the loop waits for

    async def _deliver(self, batch: Sequence[ClaimedDelivery], until: datetime) -> None:
        """One request; a batch refused without a name is halved and sent again at once."""
        outcomes = await self._send(batch)
        await self._settle(
            [
                pair
                for pair in zip(batch, outcomes, strict=True)
                if not isinstance(pair[1], Suspect)
            ]
        )
        suspects = [
            delivery
            for delivery, outcome in zip(batch, outcomes, strict=True)
            if isinstance(outcome, Suspect)
        ]
        if not suspects:
            return
        middle = (len(suspects) + 1) // 2
        for half in (suspects[:middle], suspects[middle:]):
            if not half:
                continue
            if self.clock() < until:
                await self._deliver(half, until)
            else:
                late = Deferred("refused together with others; the lease is nearly over")
                await self._settle([(delivery, late) for delivery in half])

    async def _send(self, batch: Sequence[ClaimedDelivery]) -> tuple[Outcome, ...]:
        bodies = [delivery.body for delivery in batch]
        destination = self.route.destination
        request = destination.request(batch[0].envelope, bodies, self.route.credential)
        reply = await self.route.wire.send(request)
        if isinstance(reply, TransportFailure):
            kind = Deferred if reply.certain else Unknown
            outcomes: tuple[Outcome, ...] = (kind(reply.reason),) * len(batch)
        else:
            outcomes = destination.outcomes(len(batch), reply)
        self._tell(batch, outcomes, reply)
        return outcomes

    async def _settle(self, ends: Sequence[tuple[ClaimedDelivery, Outcome]]) -> None:
        if not ends:
            return
        now = self.clock()
        settlements = []
        for delivery, outcome in ends:
            history = _history(delivery)
            transition = self.policy.settle(outcome, history, now, self.jitter())
            settlements.append(Settlement(delivery.id, delivery.fence, transition))
            if transition.state in _SAD_ENDS:
                self._mourn(delivery, transition.state, transition.reason)
        await self.store.settle(settlements, now)
        for settlement in settlements:
            self.metrics.settled.labels(self.route.name, settlement.transition.state.value).inc()

    def _tell(
        self,
        batch: Sequence[ClaimedDelivery],
        outcomes: Sequence[Outcome],
        reply: WireResponse | TransportFailure,
    ) -> None:
        """One line for each request, and a count."""
        failed = next((outcome for outcome in outcomes if not isinstance(outcome, Accepted)), None)
        result = "accepted" if failed is None else type(failed).__name__.lower()
        self.metrics.requests.labels(self.route.name, result).inc()
        details: dict[str, object] = {
            "destination": self.route.name,
            "events": len(batch),
            "status": reply.status if isinstance(reply, WireResponse) else None,
        }
        if failed is not None:
            self.log.warning("delivery.failed", result=result, reason=failed.reason, **details)
            return
        notes = {outcome.note for outcome in outcomes if isinstance(outcome, Accepted)} - {None}
        self.log.info(
            "delivery.accepted", **details, **({"notes": sorted(notes, key=str)} if notes else {})
        )

    def _mourn(self, delivery: ClaimedDelivery, state: State, reason: str | None) -> None:
        self.log.error(
            _SAD_ENDS[state],
            destination=self.route.name,
            mapping=delivery.mapping,
            event_name=delivery.event_name,
            message_id=delivery.message_id,
            reason=reason,
        )


def _history(delivery: ClaimedDelivery) -> History:
    return History(
        delivery.attempts,
        delivery.accepted_at,
        delivery.first_unknown_at,
        recognisable=delivery.event_id is not None,
    )
