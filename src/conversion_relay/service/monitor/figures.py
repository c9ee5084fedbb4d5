"""What the flow looks like at one moment, as values. Reads nothing and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.core.lane import Condition
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.monitor.course import Counts
from conversion_relay.service.store.history import Strain, Waiting

COMMITS: Final = "store_commits"
COMMIT_SECONDS: Final = "store_commit_seconds"
"""What is read besides the counters of the metrics, without labels."""


@dataclass(frozen=True, slots=True)
class LaneFigures:
    """A lane and the worker on it.

    Attributes:
        condition: of the lane.
        since: when it got into it; None of one that never left FLOWING.
        reason: why it stopped flowing; None while it flows.
        turned_at: when its worker last looked for something to do; None: it never did. With
            several nodes, that of the worker that has not for longest.
    """

    condition: Condition
    since: datetime | None = None
    reason: str | None = None
    turned_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """The store.

    Attributes:
        trouble: why nothing could be written last time; None: something could.
        unread: why the past could not be read, or did not answer in time; None: it did.
        waiting_events: of this process, that wait for the disk; None: not known.
        waiting_bytes: of these.
        commits: so far.
        commit_seconds: how long these took together.
        sizes: bytes, as `History.sizes` names them; empty: not known.
        strain: what wears on the database.
    """

    trouble: str | None = None
    unread: str | None = None
    waiting_events: int | None = None
    waiting_bytes: int | None = None
    commits: float = 0.0
    commit_seconds: float = 0.0
    sizes: Mapping[str, int] = field(default_factory=dict)
    strain: Strain = field(default_factory=Strain)


@dataclass(frozen=True, slots=True)
class RefusalFigures:
    """A changed configuration that does not take effect: since when, and why."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class SpoolFigures:
    """Events that wait on a node's own disk until the database takes them.

    Attributes:
        waits: for how long the oldest has.
    """

    events: int = 0
    size_bytes: int = 0
    waits: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """A node.

    Attributes:
        role: what it does, in a word.
        is_here: whether it gave a sign of life lately.
        silent_for: since the last one.
        runs_for: since it was started.
        clock_offset: by so much its clock is ahead of the database's.
        configuration: the fingerprint of what it runs; None: not known.
        spool: what waits on its disk.
    """

    name: str
    role: str = "all"
    is_here: bool = True
    silent_for: timedelta = timedelta()
    runs_for: timedelta = timedelta(days=1)
    clock_offset: timedelta = timedelta()
    configuration: str | None = None
    spool: SpoolFigures = field(default_factory=SpoolFigures)


@dataclass(frozen=True, slots=True)
class Company:
    """The nodes over one database, as one of them sees them.

    Attributes:
        name: of the one that sees.
        nodes: all of them, itself included; as they were when they could last be asked for.
        is_known: whether that was now.
        counted: how far the counters of the others have counted since it began to look; in the
            terms of rules.
        waiting_events: that wait for the database on the others.
        cut_off_for: so long the database has not answered it; zero: it does.
    """

    name: str
    nodes: Sequence[NodeFigures] = ()
    is_known: bool = True
    counted: Counts = field(default_factory=dict)
    waiting_events: int = 0
    cut_off_for: timedelta = timedelta()

    @property
    def here(self) -> Sequence[NodeFigures]:
        """Those that gave a sign of life lately."""
        return [one for one in self.nodes if one.is_here]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The flow at one moment. Of several nodes: of all of them, but for what is said otherwise.

    Attributes:
        at: aware.
        sources: those configured, without the canary's.
        lanes: of every destination.
        waiting: what has not arrived yet; None: that could not be read.
        store: how it is.
        counters: how far each of this process has counted.
        canaries: how they fare, by destination.
        refusal: of a changed configuration; None: there is none.
        company: the nodes; None: one process owns the database.
        spool: what waits on this node's own disk.
    """

    at: datetime
    sources: frozenset[str] = frozenset()
    lanes: Mapping[str, LaneFigures] = field(default_factory=dict)
    waiting: Sequence[Waiting] | None = ()
    store: StoreFigures = field(default_factory=StoreFigures)
    counters: Counts = field(default_factory=dict)
    canaries: Mapping[str, CanaryStanding] = field(default_factory=dict)
    refusal: RefusalFigures | None = None
    company: Company | None = None
    spool: SpoolFigures = field(default_factory=SpoolFigures)


def commits_of(store: StoreFigures) -> Counts:
    """What of it only grows besides the counters."""
    return {(COMMITS, ()): store.commits, (COMMIT_SECONDS, ()): store.commit_seconds}
