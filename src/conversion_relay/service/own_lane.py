"""The lane of a service that is alone: a value in memory, of which the store keeps the condition.

Knows the store by its port. Nothing here waits but for that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from conversion_relay.core.lane import LanePolicy, Permit, new_lane, resumed, sent
from conversion_relay.core.signal import Signal
from conversion_relay.service.lane_credentials import taken_over, tried_at_once
from conversion_relay.service.store.cluster import SharedLane
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings

Step: TypeAlias = Callable[[SharedLane], SharedLane]
"""What is learnt, or decided, of a lane."""


@dataclass(slots=True)
class OwnLane:
    """A lane that nobody else has.

    Attributes:
        policy: of the lane.
        around: time and dice.
        known: how it is now.
    """

    policy: LanePolicy
    around: Surroundings
    known: SharedLane

    @property
    def value(self) -> SharedLane:
        """How it is now."""
        return self.known

    def moment(self, told: datetime) -> datetime:
        """This moment by the clock of the lane."""
        return told

    def permit(self) -> Permit:
        """What may be sent now."""
        return self.known.lane.permit(self.around.clock())

    async def begin(self, credential: str, store: Store) -> None:
        """Take it up as it was kept; with another credential it begins anew.

        One that did not flow is tried at once: whoever started the service may have mended it.
        """
        found = {record.destination: record for record in await store.lanes()}
        record = found.get(self.known.destination)
        if record is None or record.credential != credential:
            return
        kept = replace(
            self.known.lane, condition=record.condition, since=record.since, reason=record.reason
        )
        self.known = replace(self.known, lane=resumed(kept, self.around.clock()))

    async def renew(self, credential: str) -> None:
        """Go on with another credential."""
        self.known = taken_over(self.known, self.policy, credential, self.around.clock())

    async def resume(self) -> None:
        """Have it tried at once."""
        self.known = tried_at_once(self.known, self.around.clock())

    async def look(self) -> None:
        """There is nothing to be seen that is not known."""

    async def take(self) -> Permit:
        """What may be sent now; the turn is taken once something was."""
        return self.permit()

    def sent(self) -> None:
        """A request is on its way."""
        lane = sent(self.known.lane, self.policy, self.around.clock(), self.around.jitter())
        self.known = replace(self.known, lane=lane)

    async def give_back(self) -> None:
        """Nothing was sent: no turn was taken."""

    def met(self, signal: Signal) -> None:
        """Nobody is refused alone who has the lane alone."""

    def heard(self) -> None:
        """There is nobody to be heard of."""

    async def change(self, step: Step) -> None:
        """Go on with what this makes of it."""
        self.known = step(self.known)


def first_lane(destination: str, credential: str, policy: LanePolicy) -> SharedLane:
    """One of which nothing is known yet."""
    return SharedLane(destination, credential, new_lane(policy))
