"""Keeps the lane of one destination: its credential, its present value, who is told of changes.

Knows the store and the log by their ports; what an answer means for a lane says `core.lane`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from conversion_relay.core.delivery import Outcome
from conversion_relay.core.lane import (
    Condition,
    Lane,
    LanePolicy,
    Permit,
    answered,
    is_stale,
    new_lane,
    resumed,
    sent,
)
from conversion_relay.core.signal import Answer, Signal
from conversion_relay.errors import StoreError
from conversion_relay.service.store.port import LaneRecord, Store
from conversion_relay.service.surroundings import Surroundings

_EVENTS: Final = {
    Condition.FLOWING: "lane.flowing",
    Condition.THROTTLED: "lane.throttled",
    Condition.OPEN: "lane.open",
    Condition.HELD: "lane.held",
}
_LEVELS: Final = {
    Condition.FLOWING: "info",
    Condition.THROTTLED: "warning",
    Condition.OPEN: "error",
    Condition.HELD: "error",
}


@dataclass(slots=True)
class LaneKeeper:
    """The lane of one destination and credential.

    Attributes:
        destination: its name.
        credential: sent with each request; never logged.
        settings: what else the partner may refuse, as a text; with another one it begins anew.
        store: remembers the lane, and what is held with it.
        policy: of the lane.
        around: its gauge shows the condition, its log each change.
    """

    destination: str
    credential: str = field(repr=False)
    settings: str
    store: Store
    policy: LanePolicy
    around: Surroundings
    _lane: Lane = field(init=False)
    _retired: bool = False

    def __post_init__(self) -> None:
        """Begins with a lane that flows."""
        self._lane = new_lane(self.policy)

    @property
    def lane(self) -> Lane:
        """How it is now."""
        return self._lane

    @property
    def fingerprint(self) -> str:
        """By which credential and settings are recognised without being known."""
        text = f"lane:{self.settings}:{self.credential}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def permit(self) -> Permit:
        """What may be sent now."""
        return self._lane.permit(self.around.clock())

    def sent(self) -> None:
        """A request is on its way."""
        self._lane = sent(self._lane, self.policy, self.around.clock(), self.around.jitter())

    async def begin(self) -> None:
        """Take the lane up as it was kept; one with another credential begins anew.

        A lane that did not flow is tried at once: whoever started the service may have mended it.
        """
        found = {record.destination: record for record in await self.store.lanes()}
        record = found.get(self.destination)
        if record is not None and record.credential == self.fingerprint:
            kept = replace(
                self._lane, condition=record.condition, since=record.since, reason=record.reason
            )
            self._lane = resumed(kept, self.around.clock())
        if self._lane.condition is not Condition.HELD:
            await self.store.release(self.destination, self.around.clock())
        self._show()

    async def answered(
        self, outcomes: Sequence[Outcome], credential: str, sent_at: datetime
    ) -> None:
        """Take note of how a request ended that was sent then, with this credential."""
        answer = Answer(outcomes, sent_at, self.around.clock(), self.around.jitter())
        if self._retired:
            await self._leave(answer)
            return
        late = credential != self.credential or is_stale(self._lane, answer)
        if not late:
            await self._become(answered(self._lane, answer, self.policy))
        elif answer.signal is Signal.REFUSED:
            # Nothing is learnt of the lane as it is now, and what met the refusal is free.
            await self.free()

    async def renew(self, credential: str) -> None:
        """Go on with another credential; what the old one held goes at once."""
        if credential == self.credential:
            return
        self.credential = credential
        self.around.log.info("lane.renewed", destination=self.destination)
        lane, now = self._lane, self.around.clock()
        if lane.condition is Condition.HELD:
            lane = replace(new_lane(self.policy), since=now, per_second=lane.per_second)
        await self._become(resumed(lane, now))
        await self.free()

    async def resume(self) -> None:
        """Try it at once, and what is held: an operator says that it is mended."""
        self._lane = resumed(self._lane, self.around.clock())
        self.around.log.info("lane.resumed", destination=self.destination)
        await self.free()

    def retire(self) -> None:
        """Another lane is in the place of this one: from now on it speaks for nobody."""
        self._retired = True

    def hide(self) -> None:
        """Shows no condition any more: the destination is gone."""
        for condition in Condition:
            self.around.metrics.lanes.remove(self.destination, condition.value)

    async def _leave(self, answer: Answer) -> None:
        """What met a refusal of the settings of before is free for those of now."""
        if answer.signal is Signal.REFUSED:
            await self._release()

    async def free(self) -> None:
        """What is held goes on, if the lane flows."""
        if self._lane.condition is Condition.FLOWING:
            await self._release()

    async def _become(self, lane: Lane) -> None:
        before, self._lane = self._lane, lane
        if lane.condition is before.condition:
            return
        self._show()
        self._tell(before)
        try:
            await self.store.keep_lane(self._record())
        except StoreError as error:
            self.around.log.warning(
                "lane.not_kept", destination=self.destination, reason=str(error)
            )
        await self.free()

    async def _release(self) -> None:
        try:
            await self.store.release(self.destination, self.around.clock())
        except StoreError as error:
            self.around.log.error(
                "lane.not_released", destination=self.destination, reason=str(error)
            )

    def _record(self) -> LaneRecord:
        lane = self._lane
        return LaneRecord(
            self.destination, self.fingerprint, lane.condition, lane.since, lane.reason
        )

    def _show(self) -> None:
        for condition in Condition:
            here = condition is self._lane.condition
            self.around.metrics.lanes.labels(self.destination, condition.value).set(int(here))

    def _tell(self, before: Lane) -> None:
        lane, now = self._lane, self.around.clock()
        lasted = None if before.since is None else (now - before.since).total_seconds()
        write = getattr(self.around.log, _LEVELS[lane.condition])
        write(
            _EVENTS[lane.condition],
            destination=self.destination,
            reason=lane.reason,
            before=before.condition.value,
            seconds_before=lasted,
        )
