"""What the flow looks like at one moment, as values. Reads nothing and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from conversion_relay.core.lane import Condition
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.monitor.course import Counts
from conversion_relay.service.store.history import Waiting

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
        turned_at: when its worker last looked for something to do; None: it never did.
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
        waiting_events: that wait for the disk; None: not known.
        waiting_bytes: of these.
        commits: so far.
        commit_seconds: how long these took together.
        sizes: bytes, as `History.sizes` names them; empty: not known.
    """

    trouble: str | None = None
    unread: str | None = None
    waiting_events: int | None = None
    waiting_bytes: int | None = None
    commits: float = 0.0
    commit_seconds: float = 0.0
    sizes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefusalFigures:
    """A changed configuration that does not take effect: since when, and why."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The flow at one moment.

    Attributes:
        at: aware.
        sources: those configured, without the canary's.
        lanes: of every destination.
        waiting: what has not arrived yet; None: that could not be read.
        store: how it is.
        counters: how far each has counted.
        canaries: how they fare, by destination.
        refusal: of a changed configuration; None: there is none.
    """

    at: datetime
    sources: frozenset[str] = frozenset()
    lanes: Mapping[str, LaneFigures] = field(default_factory=dict)
    waiting: Sequence[Waiting] | None = ()
    store: StoreFigures = field(default_factory=StoreFigures)
    counters: Counts = field(default_factory=dict)
    canaries: Mapping[str, CanaryStanding] = field(default_factory=dict)
    refusal: RefusalFigures | None = None


def commits_of(snapshot: Snapshot) -> Counts:
    """What of it only grows besides the counters."""
    store = snapshot.store
    return {(COMMITS, ()): store.commits, (COMMIT_SECONDS, ()): store.commit_seconds}
