"""Sends one claimed batch and records how each of its deliveries ended.

Knows the store and the wire by their ports; what an answer means is the destination's to say, what
follows from it the retry policy's and the lane's. When a batch is sent is the worker's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Deferred,
    History,
    Outcome,
    Refused,
    RetryPolicy,
    Suspect,
    Transition,
    TransportFailure,
    Unknown,
    WireResponse,
)
from conversion_relay.core.destination import Destination, OutgoingRequest, Told
from conversion_relay.core.lane import Condition, Go, Wait
from conversion_relay.errors import StoreError
from conversion_relay.service.blame import Blame, Culprit
from conversion_relay.service.bookkeeping import note_end, note_request
from conversion_relay.service.lane_keeper import LaneKeeper
from conversion_relay.service.logs import fault
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    RequestRecord,
    Settlement,
    Store,
)
from conversion_relay.service.surroundings import Surroundings

LEASE: Final = timedelta(seconds=90)
"""Longer than one send may take, so that no other worker takes over what is on its way."""
_SEND_ROOM: Final = timedelta(seconds=30)
_SETTLE_PAUSE_SECONDS: Final = 1.0
_BROKEN: Final = Unknown("the service met a fault of its own")
_STOPPED: Final = Unknown("the service stopped before an answer came")
End = tuple[ClaimedDelivery, Outcome]
Reply = WireResponse | TransportFailure


class Wire(Protocol):
    """What is asked of a sender."""

    async def send(self, request: OutgoingRequest) -> Reply:
        """What came back."""
        ...


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The way of a batch of one target.

    Attributes:
        name: of the target.
        destination: builds requests and reads answers.
        wire: to the destination's API.
        lane: says whether something may be sent, and learns from every answer.
        store: where ends are recorded.
        policy: when to try again.
        around: time, dice, counters, log.
        blame: remembers who was refused while others were accepted.
    """

    name: str
    destination: Destination
    wire: Wire
    lane: LaneKeeper
    store: Store
    policy: RetryPolicy
    around: Surroundings
    blame: Blame = field(default_factory=Blame)

    async def deliver(self, batch: Sequence[ClaimedDelivery], claimed_at: datetime) -> None:
        """Sends the batch and settles it; a fault of ours leaves it to the end of the lease.

        The lane has been told already that a request is on its way.
        """
        until = claimed_at + LEASE - _SEND_ROOM
        try:
            sendable = await self.set_aside(batch)
            if sendable:
                await self._deliver(sendable, until)
        except StoreError as error:
            self.around.log.error("delivery.not_settled", destination=self.name, reason=str(error))
        except Exception as error:  # noqa: BLE001 - one broken batch must not end the loop
            self.around.log.error("delivery.broken", destination=self.name, **fault(error))
            # A fault of ours fails as surely as one of the partner: the breaker has to know.
            await self.lane.answered([_BROKEN], self.lane.credential, self.around.clock())

    async def set_aside(self, batch: Sequence[ClaimedDelivery]) -> list[ClaimedDelivery]:
        """Parks what may have arrived and must not go again; gives the others.

        Raises:
            StoreError: that could not be recorded.
        """
        now = self.around.clock()
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
        """Request after request; who was refused only together with others goes again at once."""
        parts = deque(await self._request(batch))
        try:
            while parts and await self._may_go_on(until):
                self.lane.sent()
                part = [delivery for delivery, _ in parts.popleft()]
                parts.extendleft(reversed(await self._request(part)))
        finally:
            left = [end for part in parts for end in part]
            await asyncio.shield(self._settle(left, self.around.clock()))

    async def _request(self, batch: Sequence[ClaimedDelivery]) -> list[list[End]]:
        """One request, and its ends recorded; gives those that may go again, in parts."""
        credential, sent_at = self.lane.credential, self.around.clock()
        reply = await self._send(batch, credential)
        outcomes = self._outcomes(batch, reply)
        request = self._requested(outcomes, reply, sent_at)
        culprit = await self._culprit(batch, outcomes)
        if culprit is Culprit.EVENT:
            outcomes = (Refused(f"{_words(outcomes)}, again and again while others are taken"),)
        ends = list(zip(batch, outcomes, strict=True))
        settled = [end for end in ends if not isinstance(end[1], Suspect | Companion)]
        undecided = tuple(one.id for one, end in ends if isinstance(end, Suspect | Companion))
        await self._settle(settled, sent_at, replace(request, undecided=undecided), LEASE)
        note_request(self.around, request, batch, outcomes)
        if culprit is not Culprit.ENVELOPE:
            await self.lane.answered(outcomes, credential, sent_at)
        return _parts(ends)

    async def _send(self, batch: Sequence[ClaimedDelivery], credential: str) -> Reply:
        """What came back; stopped meanwhile, the lease is given back."""
        bodies = [delivery.body for delivery in batch]
        request = self.destination.request(batch[0].envelope, bodies, credential)
        sent_at = self.around.clock()
        try:
            with self.around.tracer.span("send", destination=self.name, events=len(batch)):
                return _without(credential, await self.wire.send(request))
        except asyncio.CancelledError:
            stopped: list[End] = [(delivery, _STOPPED) for delivery in batch]
            reply = TransportFailure(certain=False, reason=_STOPPED.reason)
            given_up = self._requested([_STOPPED] * len(batch), reply, sent_at)
            await asyncio.shield(self._settle(stopped, sent_at, given_up))
            note_request(self.around, given_up, batch, [_STOPPED] * len(batch))
            raise

    def _outcomes(self, batch: Sequence[ClaimedDelivery], reply: Reply) -> tuple[Outcome, ...]:
        if isinstance(reply, WireResponse):
            return self.destination.outcomes(len(batch), reply)
        return ((Deferred if reply.certain else Unknown)(reply.reason),) * len(batch)

    async def _culprit(
        self, batch: Sequence[ClaimedDelivery], outcomes: Sequence[Outcome]
    ) -> Culprit:
        """Who is to blame, should the credentials have been refused."""
        envelope, first = batch[0].envelope, outcomes[0]
        if any(isinstance(outcome, Accepted) for outcome in outcomes):
            if self.blame.accepted(envelope):
                await self.lane.free()
        elif isinstance(first, CredentialProblem):
            alone = len(batch) == 1 and first.on_the_way
            return self.blame.refused(envelope, batch[0].id if alone else None)
        return Culprit.LANE

    async def _may_go_on(self, until: datetime) -> bool:
        """Whether the lane lets more go within the lease; in one that flows it waits its turn."""
        permit = await self.lane.take()
        while isinstance(permit, Wait) and self.lane.lane.condition is Condition.FLOWING:
            if permit.until >= until:
                return False
            await self.around.sleep((permit.until - self.around.clock()).total_seconds())
            permit = await self.lane.take()
        if isinstance(permit, Go) and self.around.clock() < until:
            return True
        await self.lane.give_back()
        return False

    async def _settle(
        self,
        ends: Sequence[End],
        sent_at: datetime,
        request: RequestRecord | None = None,
        patience: timedelta = timedelta(),
    ) -> None:
        now, settle = self.around.clock(), self.policy.settle
        settled = [
            (delivery, settle(outcome, _history(delivery, sent_at), now, self.around.jitter()))
            for delivery, outcome in ends
        ]
        await self._record(settled, now, request, patience)

    async def _record(
        self,
        ends: Sequence[tuple[ClaimedDelivery, Transition]],
        now: datetime,
        request: RequestRecord | None = None,
        patience: timedelta = timedelta(),
    ) -> None:
        """Writes the ends down first; only what is written is counted and logged."""
        if not ends and request is None:
            return
        settlements = [Settlement(one.id, one.fence, end) for one, end in ends]
        with self.around.tracer.span("settle", destination=self.name, deliveries=len(ends)):
            await self._write(settlements, now, request, patience)
        for delivery, end in ends:
            note_end(self.around, delivery, end, now)

    async def _write(
        self,
        settlements: Sequence[Settlement],
        now: datetime,
        request: RequestRecord | None,
        patience: timedelta,
    ) -> None:
        """Tries again for so long: an answer that is forgotten makes all of the batch go twice.

        Whatever came of a try before, the fence of each claim lets its end in only once; it also
        holds beyond the lease, until somebody else has the claim.
        """
        give_up_at = self.around.clock() + patience
        while True:
            try:
                await self.store.settle(settlements, now, request)
            except StoreError:
                if self.around.clock() >= give_up_at:
                    raise
            else:
                return
            await self.around.sleep(_SETTLE_PAUSE_SECONDS)

    def _requested(
        self, outcomes: Sequence[Outcome], reply: Reply, sent_at: datetime
    ) -> RequestRecord:
        """The request as it is kept."""
        failed = next((one for one in outcomes if not isinstance(one, Accepted)), None)
        answer = reply if isinstance(reply, WireResponse) else None
        told = Told() if answer is None else self.destination.told(answer)
        return RequestRecord(
            destination=self.name,
            sent_at=sent_at,
            seconds=(self.around.clock() - sent_at).total_seconds(),
            events=len(outcomes),
            result="accepted" if failed is None else type(failed).__name__.lower(),
            status=None if answer is None else answer.status,
            code=told.code,
            request_id=told.request_id,
            reason=None if failed is None else failed.reason,
        )


def _words(outcomes: Sequence[Outcome]) -> str:
    return next((one.reason for one in outcomes if not isinstance(one, Accepted)), "refused")


def _without(credential: str, reply: Reply) -> Reply:
    """The reply, should it repeat the credential: what is read of it ends in logs."""
    if isinstance(reply, WireResponse) and credential.encode() in reply.body:
        return replace(reply, body=reply.body.replace(credential.encode(), b"[token]"))
    return reply


def _parts(ends: Sequence[End]) -> list[list[End]]:
    """What goes again at once: the companions of a named one together, suspects in halves."""
    companions = [end for end in ends if isinstance(end[1], Companion)]
    suspects = [end for end in ends if isinstance(end[1], Suspect)]
    middle = (len(suspects) + 1) // 2
    return [part for part in (companions, suspects[:middle], suspects[middle:]) if part]


def _history(delivery: ClaimedDelivery, sent_at: datetime | None = None) -> History:
    return History(
        delivery.attempts,
        delivery.accepted_at,
        delivery.first_unknown_at,
        recognisable=delivery.event_id is not None,
        sent_at=sent_at,
    )
