"""Several nodes over one database, in memory: every call takes some virtual time, or fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.cluster import (
    Decision,
    NodeRecord,
    NodeStanding,
    Proposal,
    Role,
    SharedLane,
    Topic,
)
from support.time import VirtualTime


@dataclass
class Commons:
    """What the database holds.

    Attributes:
        time: its clock.
        delay: the longest way to it and back, seconds, both drawn.
        calls: how often each was asked, by name.
    """

    time: VirtualTime
    delay: float = 0.0
    random: Random = field(default_factory=lambda: Random(7))  # noqa: S311 - a seeded test
    calls: dict[str, int] = field(default_factory=dict)
    lanes: dict[str, SharedLane] = field(default_factory=dict)
    nodes: dict[str, tuple[NodeStanding, datetime]] = field(default_factory=dict)
    duties: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    proposals: list[tuple[Proposal, datetime]] = field(default_factory=list)
    ears: list[tuple[str, Topic, Callable[[], None]]] = field(default_factory=list)


@dataclass
class FakeCluster:
    """Implements the port `Cluster` for one node.

    Attributes:
        name: of the node.
        is_cut_off: nothing that it asks is answered.
        is_deaf: it hears nothing of others.
        is_cut_off_by_deciding: what it decides is done, and it never hears of that.
    """

    commons: Commons
    name: str
    is_cut_off: bool = False
    is_deaf: bool = False
    is_cut_off_by_deciding: bool = False

    @property
    def node(self) -> str:
        """Its name."""
        return self.name

    async def beat(self, standing: NodeStanding, now: datetime) -> None:
        """Gives a sign of life."""
        assert now.tzinfo
        await self._way("beat")
        self.commons.nodes[self.name] = standing, self.commons.time.now

    async def leave(self) -> None:
        """Says goodbye."""
        self.commons.nodes.pop(self.name, None)
        for duty in [duty for duty, (one, _) in self.commons.duties.items() if one == self.name]:
            del self.commons.duties[duty]

    async def nodes(self) -> Sequence[NodeRecord]:
        """Those that gave a sign of life."""
        await self._way("nodes")
        now = self.commons.time.now
        return [
            NodeRecord(name, standing, now - seen, timedelta())
            for name, (standing, seen) in sorted(self.commons.nodes.items())
        ]

    async def hold(self, duty: str, lease: timedelta) -> bool:
        """Whether this node has it."""
        await self._way("hold")
        now = self.commons.time.now
        holder, until = self.commons.duties.get(duty, (self.name, now))
        if holder != self.name and until > now:
            return False
        self.commons.duties[duty] = self.name, now + lease
        return True

    async def lane(self, destination: str) -> SharedLane | None:
        """As it stands."""
        await self._way("lane")
        found = self.commons.lanes.get(destination)
        told = None if found is None else replace(found, told_at=self.commons.time.now)
        await self._back()
        return told

    async def change_lane(self, lane: SharedLane) -> bool:
        """Compares and swaps."""
        await self._way("change_lane")
        found = self.commons.lanes.get(lane.destination)
        done = lane.revision == (0 if found is None else found.revision)
        if done:
            self.commons.lanes[lane.destination] = replace(lane, revision=lane.revision + 1)
        await self._back()
        return done

    async def propose(self, fingerprint: str, content: str) -> int | None:
        """One at a time."""
        await self._way("propose")
        if self.commons.proposals and self.commons.proposals[-1][0].decision is None:
            return None
        number, now = len(self.commons.proposals) + 1, self.commons.time.now
        made = Proposal(number, self.name, fingerprint, content, timedelta())
        self.commons.proposals.append((made, now))
        return number

    async def vote(self, proposal: int, reason: str | None) -> None:
        """Of an open one."""
        await self._way("vote")
        found, at = self.commons.proposals[proposal - 1]
        votes: Mapping[str, str | None] = {**found.votes, self.name: reason}
        self.commons.proposals[proposal - 1] = replace(found, votes=votes), at

    async def decide(self, proposal: int, decision: Decision, reason: str | None = None) -> bool:
        """Once."""
        await self._way("decide")
        found, at = self.commons.proposals[proposal - 1]
        if found.decision is not None:
            return False
        self.commons.proposals[proposal - 1] = (
            replace(found, decision=decision, reason=reason),
            at,
        )
        if self.is_cut_off_by_deciding:
            self.is_cut_off = True
            await self._back()
        return True

    async def proposal(self) -> Proposal | None:
        """The newest."""
        await self._way("proposal")
        if not self.commons.proposals:
            return None
        found, at = self.commons.proposals[-1]
        return replace(found, age=self.commons.time.now - at)

    async def tell(self, topic: Topic) -> None:
        """Those who hear do so at once."""
        if self.is_cut_off:
            return
        for node, heard, called in self.commons.ears:
            if heard is topic and node != self.name:
                called()

    def hear(self, topic: Topic, called: Callable[[], None]) -> None:
        """From now on."""

        def unless_deaf() -> None:
            if not self.is_deaf and not self.is_cut_off:
                called()

        self.commons.ears.append((self.name, topic, unless_deaf))

    async def _way(self, name: str) -> None:
        self.commons.calls[name] = self.commons.calls.get(name, 0) + 1
        await self._back()

    async def _back(self) -> None:
        if self.is_cut_off:
            raise StoreUnavailable("the database does not answer")
        if self.commons.delay:
            await self.commons.time.sleep(self.commons.random.uniform(0, self.commons.delay / 2))


def standing(time: VirtualTime) -> NodeStanding:
    """What a node says of itself."""
    return NodeStanding(Role.ALL, "1.0", "127.0.0.1:8080", time.now)
