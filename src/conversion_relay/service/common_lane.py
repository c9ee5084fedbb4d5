"""The lane of several nodes over one database: the partner sees one limit and one breaker.

A turn is taken by writing the lane down before anything is claimed, and only by whoever saw the
latest: who lost reads it again, and may have to wait now. What is learnt is written the same way,
if it says anything new. Its times are by the database's clock, so that those of nodes may differ.
Knows the cluster by its port. Nothing here hangs longer than the database lets it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.core.lane import LanePolicy, Permit, Probe, Wait, sent
from conversion_relay.core.signal import Signal
from conversion_relay.errors import StoreError
from conversion_relay.service.lane_credentials import taken_over, tried_at_once
from conversion_relay.service.own_lane import Step
from conversion_relay.service.store.cluster import Cluster, SharedLane, Topic
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings

FRESH: Final = timedelta(seconds=1)
"""So long a lane that was read is taken to be as it was."""
_TRIES: Final = 10
_STEP_BACK: Final = timedelta(milliseconds=20)
"""Until the next attempt, where others were faster every time."""
_CLOCK_ERROR: Final = timedelta(seconds=5)
"""So far ahead a moment may be that is the present; further, and a clock was set back."""


@dataclass(slots=True)
class CommonLane:
    """A lane that all nodes have.

    Attributes:
        cluster: where it is.
        policy: of the lane.
        around: time, dice and log.
        known: as it was read or written last.
        credential: a fingerprint of what this node sends with.
    """

    cluster: Cluster
    policy: LanePolicy
    around: Surroundings
    known: SharedLane
    credential: str
    _read_at: datetime | None = None
    _ahead: timedelta | None = None
    _contended: bool = False
    _unshared: list[Step] = field(default_factory=list)
    _failures: int = 0
    _before_turn: SharedLane | None = None
    _rests_until: datetime | None = None
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def value(self) -> SharedLane:
        """How it is, as far as this node knows."""
        value = self.known
        for step in self._unshared:
            value = step(value)
        return value

    def moment(self, told: datetime) -> datetime:
        """This moment by the clock of the lane."""
        return told - (self._ahead or timedelta())

    def permit(self) -> Permit:
        """What may be sent now, as far as this node knows."""
        alone = self._rests_until if self.known.credential != self.credential else None
        if alone is not None and self.around.clock() < alone:
            return Wait(alone)
        permit = self.value.lane.permit(self._present())
        if isinstance(permit, Wait):
            return Wait(permit.until + (self._ahead or timedelta()))
        return permit if alone is None else Probe()

    async def begin(self, credential: str, _: Store) -> None:
        """Take it up as it stands; with another credential it becomes this node's.

        Others try what does not flow: one node more is no reason for a probe more.
        """
        await self.look()
        await self.renew(credential)

    async def renew(self, credential: str) -> None:
        """Go on with another credential; the lane becomes that one's, unless it is already."""
        self.credential, self._rests_until = credential, None
        now = self._present()
        if self.known.credential != credential:
            await self.change(lambda known: taken_over(known, self.policy, credential, now))

    async def resume(self) -> None:
        """Have it tried at once, by whoever is first."""
        now = self._present()
        await self.change(lambda known: tried_at_once(known, now))
        await self.cluster.tell(Topic.LANES)

    async def look(self) -> None:
        """Read it, if it may have changed since.

        Raises:
            StoreError: the database does not answer.
        """
        if self._is_old:
            async with self._one_at_a_time:
                if self._is_old:
                    await self._read()

    async def take(self) -> Permit:
        """What may be sent now; where that is something, this node has the turn by that.

        Raises:
            StoreError: the database does not answer; whether a turn was taken is unknown.
        """
        async with self._one_at_a_time:
            for _ in range(_TRIES):
                if self._is_old or self._contended:
                    await self._read()
                permit, before = self.permit(), self.value
                if isinstance(permit, Wait):
                    return permit
                if await self._write(self._once_sent(before, permit)):
                    self._before_turn = before
                    return permit
        return Wait(self.around.clock() + _STEP_BACK)

    def sent(self) -> None:
        """The turn that was taken is used."""
        self._before_turn = None

    async def give_back(self) -> None:
        """Nothing was sent: others may have the turn, unless they went on meanwhile."""
        before, self._before_turn = self._before_turn, None
        if before is None:
            return
        async with self._one_at_a_time:
            if self.known.revision == before.revision + 1 and not self._unshared:
                try:
                    await self._write(replace(before, revision=self.known.revision))
                except StoreError:
                    self._read_at = None  # it costs a turn

    def met(self, signal: Signal) -> None:
        """What this node's credential met: refused alone, it is only tried now and then."""
        if signal is Signal.ALIVE:
            self._rests_until = None
        elif signal is Signal.REFUSED and self.known.credential != self.credential:
            self._rests_until = self.around.clock() + self.policy.held_pause

    def heard(self) -> None:
        """Another node changed it."""
        self._read_at = None

    async def change(self, step: Step) -> None:
        """Go on with what this makes of it, and share that; if it cannot be, with the next turn.

        Never fails. One who waited while another could not share does not try it once more.
        """
        self._unshared.append(step)
        failures = self._failures
        async with self._one_at_a_time:
            if self._failures == failures:
                await self._share()

    async def _share(self) -> None:
        try:
            for _ in range(_TRIES):
                if not self._unshared:
                    return
                if self._is_old:
                    await self._read()
                value = self.value
                if value == self.known:
                    self._unshared.clear()  # that is known already
                elif await self._write(value):
                    return
        except StoreError as error:
            self._failures += 1
            self._read_at = None
            self.around.log.warning(
                "lane.not_kept", destination=self.known.destination, reason=str(error)
            )

    @property
    def _is_old(self) -> bool:
        read_at = self._read_at
        return read_at is None or not timedelta() <= self.around.clock() - read_at < FRESH

    def _present(self) -> datetime:
        """By the clock of the lane, and never before what was said at last."""
        present, said = self.moment(self.around.clock()), self.known.lane.timed_at
        if said is not None and timedelta() < said - present < _CLOCK_ERROR:
            return said
        return present

    def _once_sent(self, before: SharedLane, permit: Permit) -> SharedLane:
        """The lane once a request is on its way; a probe of one who rests is nobody else's."""
        now, jitter = self._present(), self.around.jitter()
        if isinstance(permit, Probe) and self._rests_until is not None:
            self._rests_until = self.around.clock() + self.policy.held_pause
        return replace(before, lane=sent(before.lane, self.policy, now, jitter))

    async def _read(self) -> None:
        asked_at = self.around.clock()
        found = await self.cluster.lane(self.known.destination)
        self._read_at = self.around.clock()
        if found is None:
            self.known = replace(self.known, revision=0)
            return
        self._contended = self._contended and found.revision != self.known.revision
        if found.told_at is not None:
            self._compare_clocks(found.told_at, asked_at, self._read_at)
        self.known = replace(found, told_at=None)

    def _compare_clocks(self, told_at: datetime, asked_at: datetime, read_at: datetime) -> None:
        """The database said so between two moments of this node: what was thought is corrected."""
        least, most = asked_at - told_at, read_at - told_at
        thought = least + (most - least) / 2 if self._ahead is None else self._ahead
        self._ahead = min(max(thought, least), most)

    async def _write(self, value: SharedLane) -> bool:
        """Whether this is the lane now; what is written was learnt by all."""
        before, steps = self.known, len(self._unshared)
        try:
            done = await self.cluster.change_lane(value)
        except StoreError:
            self._read_at = None
            raise
        if not done:
            self._read_at, self._contended = None, True
            return False
        self.known = replace(value, revision=before.revision + 1)
        self._read_at = self.around.clock()
        del self._unshared[:steps]
        if _differ(before, self.known):
            await self.cluster.tell(Topic.LANES)
        return True


def _differ(before: SharedLane, after: SharedLane) -> bool:
    """Whether others should hear of it at once."""
    return (before.lane.condition, before.credential) != (after.lane.condition, after.credential)
