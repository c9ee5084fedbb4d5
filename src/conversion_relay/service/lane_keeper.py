"""Keeps the lane of one destination: its credential, its present value, who is told of changes.

Knows the store and the log by their ports; what an answer means for a lane says `core.lane`, and
whether other nodes have it too, the kind of value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final

from conversion_relay.core.delivery import Outcome
from conversion_relay.core.lane import Condition, Lane, LanePolicy, Permit, is_stale
from conversion_relay.core.signal import Answer, Signal
from conversion_relay.errors import StoreError
from conversion_relay.service.common_lane import CommonLane
from conversion_relay.service.lane_credentials import learnt
from conversion_relay.service.own_lane import OwnLane, first_lane
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
    _value: OwnLane | CommonLane = field(init=False)
    _seen: Lane = field(init=False)
    _retired: bool = False

    def __post_init__(self) -> None:
        """Begins with a lane that flows."""
        first = first_lane(self.destination, self.fingerprint, self.policy)
        cluster = self.store.cluster
        if cluster is None:
            self._value = OwnLane(self.policy, self.around, first)
        else:
            self._value = CommonLane(cluster, self.policy, self.around, first, self.fingerprint)
        self._seen = self.lane

    @property
    def lane(self) -> Lane:
        """How it is now, as far as it is known here."""
        return self._value.value.lane

    @property
    def fingerprint(self) -> str:
        """By which credential and settings are recognised without being known."""
        text = f"lane:{self.settings}:{self.credential}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def permit(self) -> Permit:
        """What may be sent now, as far as it is known here."""
        return self._value.permit()

    async def look(self) -> Permit:
        """The same, once it is known what others made of the lane lately.

        Raises:
            StoreError: that cannot be known.
        """
        await self._value.look()
        await self._notice()
        return self.permit()

    async def take(self) -> Permit:
        """What may be sent now: others wait until that is `sent`, or given back.

        Raises:
            StoreError: it cannot be known.
        """
        permit = await self._value.take()
        await self._notice()
        return permit

    def sent(self) -> None:
        """What was taken is on its way."""
        self._value.sent()

    async def give_back(self) -> None:
        """There was nothing to be sent."""
        await self._value.give_back()

    def heard(self) -> None:
        """Another node changed the lane."""
        self._value.heard()

    async def begin(self) -> None:
        """Take the lane up as it was kept, or as it stands with others.

        Raises:
            StoreError: it cannot be read.
        """
        await self._value.begin(self.fingerprint, self.store)
        self._seen = self.lane
        if self.lane.condition is not Condition.HELD:
            await self.store.release(self.destination, self.around.clock())
        self._show()

    async def answered(
        self, outcomes: Sequence[Outcome], credential: str, sent_at: datetime
    ) -> None:
        """Take note of how a request ended that was sent then, with this credential."""
        began, ended = self._value.moment(sent_at), self._value.moment(self.around.clock())
        answer = Answer(outcomes, began, ended, self.around.jitter())
        if self._retired:
            await self._leave(answer)
            return
        if credential == self.credential and not is_stale(self.lane, answer):
            await self._learn(answer)
        if answer.signal is Signal.REFUSED:
            # If it flows, nothing was learnt of it as it is now, and what met the refusal is free.
            await self.free()

    async def renew(self, credential: str) -> None:
        """Go on with another credential; what the old one held goes at once."""
        if credential == self.credential:
            return
        self.credential = credential
        self.around.log.info("lane.renewed", destination=self.destination)
        await self._value.renew(self.fingerprint)
        await self._notice()
        await self.free()

    async def resume(self) -> None:
        """Try it at once, and what is held: an operator says that it is mended."""
        await self._value.resume()
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
        if self.lane.condition is Condition.FLOWING:
            await self._release()

    async def _learn(self, answer: Answer) -> None:
        own = self.fingerprint
        await self._value.change(
            partial(learnt, answer=answer, policy=self.policy, credential=own)
        )
        self._value.met(answer.signal)
        await self._notice()

    async def _notice(self) -> None:
        """Tell of another condition, whoever found it; and what it held goes on."""
        before, self._seen = self._seen, self.lane
        if self._retired or self._seen.condition is before.condition:
            return
        self._show()
        self._tell(before)
        if isinstance(self._value, OwnLane):
            await self._keep()
        await self.free()

    async def _keep(self) -> None:
        try:
            await self.store.keep_lane(self._record())
        except StoreError as error:
            self.around.log.warning(
                "lane.not_kept", destination=self.destination, reason=str(error)
            )

    async def _release(self) -> None:
        try:
            await self.store.release(self.destination, self.around.clock())
        except StoreError as error:
            self.around.log.error(
                "lane.not_released", destination=self.destination, reason=str(error)
            )

    def _record(self) -> LaneRecord:
        lane = self.lane
        return LaneRecord(
            self.destination, self.fingerprint, lane.condition, lane.since, lane.reason
        )

    def _show(self) -> None:
        for condition in Condition:
            here = condition is self.lane.condition
            self.around.metrics.lanes.labels(self.destination, condition.value).set(int(here))

    def _tell(self, before: Lane) -> None:
        lane, now = self.lane, self._value.moment(self.around.clock())
        lasted = None if before.since is None else (now - before.since).total_seconds()
        write = getattr(self.around.log, _LEVELS[lane.condition])
        write(
            _EVENTS[lane.condition],
            destination=self.destination,
            reason=lane.reason,
            before=before.condition.value,
            seconds_before=lasted,
        )
