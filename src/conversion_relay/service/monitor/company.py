"""The nodes over one database, put together from what each says of itself. Pure.

What the others have counted never falls: what a node said last stays in the sum when it is gone,
and what one counts that is there anew begins at nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from conversion_relay.core.lane import Condition
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.monitor.course import Counts, added, grown
from conversion_relay.service.monitor.figures import (
    LaneFigures,
    NodeFigures,
    RefusalFigures,
)
from conversion_relay.service.monitor.published import Published
from conversion_relay.service.store.cluster import NodeRecord

Run: TypeAlias = tuple[str, datetime]
"""A node, and when it was started: with each start its counters begin anew."""
_REMEMBERED: Final = timedelta(days=2)
"""So long what a node said is known that says nothing any more; its row is kept for a day."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What the other nodes counted since one began to look; each look gives the next one.

    Attributes:
        counted: all of them together.
        said: how far the counters of each had counted, and when it was there last.
        has_begun: whether they were ever looked at. What had been counted by then is no growth.
    """

    counted: Counts = field(default_factory=dict)
    said: Mapping[Run, tuple[datetime, Counts]] = field(default_factory=dict)
    has_begun: bool = False

    def then(self, said: Mapping[Run, Counts], now: datetime) -> Tally:
        """With what they say now."""
        counted = self.counted
        kept = {run: one for run, one in self.said.items() if now - one[0] < _REMEMBERED}
        for run, counts in said.items():
            _, before = self.said.get(run, (now, {} if self.has_begun else counts))
            counted = added(counted, grown(before, counts))
            kept[run] = (now, _farthest(before, counts))
        return Tally(counted, kept, has_begun=True)


def _farthest(before: Counts, now: Counts) -> Counts:
    """Of each counter, so that what a node does not say for once is not counted twice."""
    return {**before, **{key: max(count, before.get(key, 0.0)) for key, count in now.items()}}


def run_of(record: NodeRecord) -> Run:
    """Which run of which node it is."""
    return record.node, record.standing.started_at


def figures_of(
    records: Iterable[NodeRecord], said: Mapping[str, Published], own: str, now: datetime
) -> Sequence[NodeFigures]:
    """The nodes of these records.

    Args:
        records: as the cluster gives them.
        said: by each.
        own: the node that asks.
        now: the present, aware, by its clock.
    """
    records = tuple(records)
    offset = next((one.clock_offset for one in records if one.node == own), timedelta())
    return [
        NodeFigures(
            name=one.node,
            role=one.standing.role.value,
            is_here=one.is_here,
            silent_for=one.silent_for,
            runs_for=now - offset - (one.standing.started_at - one.clock_offset),
            clock_offset=one.clock_offset,
            configuration=one.standing.configuration,
            spool=said[one.node].spool,
        )
        for one in records
    ]


def lanes_of(
    own: Mapping[str, LaneFigures],
    others: Iterable[Mapping[str, LaneFigures]],
    turned: Mapping[str, datetime],
    begun_at: datetime,
) -> Mapping[str, LaneFigures]:
    """Every lane, with the worker on it that has not looked for work for longest.

    Args:
        own: those this node delivers to.
        others: those of each other node that is here.
        turned: when anybody looked for work last, of all destinations there are.
        begun_at: since when this node looks; its workers may not have looked for work yet.
    """
    mine = {name: replace(one, turned_at=one.turned_at or begun_at) for name, one in own.items()}
    found: dict[str, list[LaneFigures]] = {}
    for lanes in (mine, *others):
        for name, one in lanes.items():
            found.setdefault(name, []).append(one)
    nobodys = {name: LaneFigures(Condition.FLOWING, turned_at=at) for name, at in turned.items()}
    return nobodys | {
        name: replace(same[0], turned_at=min(one.turned_at or begun_at for one in same))
        for name, same in found.items()
    }


def turned_last(
    before: Mapping[str, datetime], lanes: Iterable[Mapping[str, LaneFigures]]
) -> Mapping[str, datetime]:
    """When anybody last looked for work, by destination."""
    found = dict(before)
    for name, one in (pair for each in lanes for pair in each.items()):
        if one.turned_at is not None:
            found[name] = max(one.turned_at, found.get(name, one.turned_at))
    return found


def canaries_of(
    own: Mapping[str, CanaryStanding], said: Iterable[Published]
) -> Mapping[str, CanaryStanding]:
    """Of the node that sends them: this one, or another."""
    return own or next((one.canaries for one in said if one.canaries), {})


def refusal_of(own: RefusalFigures | None, said: Mapping[str, Published]) -> RefusalFigures | None:
    """Why a changed configuration does not take effect on this node, or on another."""
    for name, one in said.items():
        if own is None and one.refusal is not None:
            return replace(one.refusal, reason=f"(node {name}) {one.refusal.reason}")
    return own
