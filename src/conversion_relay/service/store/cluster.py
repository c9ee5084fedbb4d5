"""What several nodes over one database share besides events: values and the port.

Knows no database. A store that one process owns has none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Protocol

from conversion_relay.core.lane import Lane

BEAT_SECONDS: Final = 5.0
"""Between two signs of life of a node."""
LOST_AFTER: Final = timedelta(seconds=20)
"""A node that gave no sign of life for so long counts as gone."""


class Role(Enum):
    """What a node does beside answering operators."""

    ALL = "all"
    INGEST = "ingest"  # takes events in, sends nothing
    DELIVER = "deliver"  # sends, takes no events in


class Topic(Enum):
    """What nodes tell each other of; hearing it is faster than looking, and never needed."""

    ARRIVED = "arrived"  # there is something to deliver
    LANES = "lanes"  # a lane changed its condition
    CONFIGURATION = "configuration"  # somebody proposed, voted or decided


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """What a node says of itself.

    Attributes:
        release: of the program.
        address: at which it listens, for people.
        started_at: aware, by its own clock.
        configuration: the fingerprint of what it runs.
        readings: how far its counters have counted, as the monitor reads them; JSON.
    """

    role: Role
    release: str
    address: str
    started_at: datetime
    configuration: str | None = None
    readings: str = field(default="{}", repr=False)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as the others see it.

    Attributes:
        node: its name.
        silent_for: since its last sign of life, by the database's clock.
        clock_offset: by so much its clock is ahead of the database's.
        duties: what it does for all at present.
    """

    node: str
    standing: NodeStanding
    silent_for: timedelta
    clock_offset: timedelta
    duties: tuple[str, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether it gave a sign of life lately."""
        return self.silent_for < LOST_AFTER


@dataclass(frozen=True, slots=True)
class SharedLane:
    """A lane as all nodes see it.

    Attributes:
        credential: a fingerprint of credential and settings; with another one it begins anew.
        revision: grows with every change; 0 of one that was never shared.
        told_at: by the database's clock, when it was read; None: of nobody's reading.
    """

    destination: str
    credential: str
    lane: Lane
    revision: int = 0
    told_at: datetime | None = field(default=None, compare=False)


class Decision(Enum):
    """What became of a proposal."""

    ADOPTED = "adopted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration that is to take effect on all nodes.

    Attributes:
        node: who proposed it.
        content: as of a VersionRecord.
        age: since it was proposed, by the database's clock.
        votes: by node, why it cannot run it; None: it can.
        decision: None while it is open.
        reason: of a refusal.
    """

    id: int
    node: str
    fingerprint: str
    content: str = field(repr=False)
    age: timedelta
    votes: Mapping[str, str | None] = field(default_factory=dict)
    decision: Decision | None = None
    reason: str | None = None


class Cluster(Protocol):
    """The nodes over one database. Safe to call from many tasks.

    Every method that waits raises StoreUnavailable when the database does not answer.
    """

    @property
    def node(self) -> str:
        """What this node is called; no other is."""
        ...

    async def beat(self, standing: NodeStanding, now: datetime) -> None:
        """Give a sign of life."""
        ...

    async def leave(self) -> None:
        """Say goodbye: others take over at once what this node did for all."""
        ...

    async def nodes(self) -> Sequence[NodeRecord]:
        """Those that are here, and those that were lost within a day; by name."""
        ...

    async def hold(self, duty: str, lease: timedelta) -> bool:
        """Whether this node does that for all from now on, for so long at least."""
        ...

    async def lane(self, destination: str) -> SharedLane | None:
        """The lane as it stands."""
        ...

    async def change_lane(self, lane: SharedLane) -> bool:
        """Put this lane in the place of the one of its revision; False: another did before."""
        ...

    async def propose(self, fingerprint: str, content: str) -> int | None:
        """Propose a configuration; gives its number, or None while another proposal is open."""
        ...

    async def vote(self, proposal: int, reason: str | None) -> None:
        """Say whether this node can run it; `reason`: why not."""
        ...

    async def decide(self, proposal: int, decision: Decision, reason: str | None = None) -> bool:
        """End a proposal; False: it was ended before."""
        ...

    async def proposal(self) -> Proposal | None:
        """The newest one, open or not."""
        ...

    async def tell(self, topic: Topic) -> None:
        """Have the other nodes hear of it soon. Never fails: they look now and then anyway."""
        ...

    def hear(self, topic: Topic, called: Callable[[], None]) -> None:
        """Have this called, in the event loop, when another node tells of it."""
        ...
