"""What a node tells the others of itself with each sign of life, as JSON: written and read.

Nodes of another release may say more, less or something else: what is not understood counts as
not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter, ValidationError

from conversion_relay.core.lane import Condition
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.course import Counts, is_asked_for
from conversion_relay.service.monitor.figures import (
    COMMIT_SECONDS,
    COMMITS,
    LaneFigures,
    RefusalFigures,
    SpoolFigures,
)

_OWN: Final = frozenset({COMMITS, COMMIT_SECONDS})


@dataclass(frozen=True, slots=True)
class Published:
    """What a node says of itself, but for what its sign of life says anyway.

    Attributes:
        counts: how far its counters have counted, in the terms of rules.
        lanes: of the destinations it delivers to; none without a worker.
        canaries: how they fare, if it is the one that sends them.
        refusal: of a changed configuration.
        spool: what waits on its own disk.
        waiting_events: that wait for the database.
    """

    counts: Counts = field(default_factory=dict)
    lanes: Mapping[str, LaneFigures] = field(default_factory=dict)
    canaries: Mapping[str, CanaryStanding] = field(default_factory=dict)
    refusal: RefusalFigures | None = None
    spool: SpoolFigures = field(default_factory=SpoolFigures)
    waiting_events: int = 0


@dataclass(frozen=True, slots=True)
class _Lane:
    """As LaneFigures; `turned` so many seconds ago, since clocks may differ."""

    condition: Condition
    turned: float
    since: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Spool:
    events: int = 0
    size_bytes: int = 0
    waits: float = 0.0


@dataclass(frozen=True, slots=True)
class _Text:
    counts: list[tuple[str, tuple[str, ...], float]] = field(default_factory=list)
    lanes: dict[str, _Lane] = field(default_factory=dict)
    canaries: dict[str, CanaryStanding] = field(default_factory=dict)
    refusal: RefusalFigures | None = None
    spool: _Spool = field(default_factory=_Spool)
    waiting_events: int = 0


_TEXT: Final = TypeAdapter(_Text)


def written(published: Published, now: datetime) -> str:
    """As JSON."""
    lanes = {
        name: _Lane(
            condition=one.condition,
            since=one.since,
            reason=one.reason,
            turned=(now - (one.turned_at or now)).total_seconds(),
        )
        for name, one in published.lanes.items()
    }
    spool = published.spool
    text = _Text(
        counts=[(*reading, count) for reading, count in published.counts.items() if count],
        lanes=lanes,
        canaries=dict(published.canaries),
        refusal=published.refusal,
        spool=_Spool(spool.events, spool.size_bytes, spool.waits.total_seconds()),
        waiting_events=published.waiting_events,
    )
    return _TEXT.dump_json(text, exclude_defaults=True).decode()


def read(text: str, now: datetime) -> Published:
    """The same again; nothing of what cannot be understood.

    Args:
        text: what a node said.
        now: the present, aware, by the clock of who reads.
    """
    try:
        found = _TEXT.validate_json(text)
    except ValidationError:
        return Published()
    lanes = {
        name: LaneFigures(one.condition, one.since, one.reason, now - timedelta(0, one.turned))
        for name, one in found.lanes.items()
    }
    counts: dict[Reading, float] = {
        (measure, labels): count
        for measure, labels, count in found.counts
        if measure in _OWN or is_asked_for((measure, labels))
    }
    spool = found.spool
    return Published(
        counts=counts,
        lanes=lanes,
        canaries=found.canaries,
        refusal=found.refusal,
        spool=SpoolFigures(spool.events, spool.size_bytes, timedelta(0, spool.waits)),
        waiting_events=found.waiting_events,
    )
