"""Whose news counts for a lane, where nodes may have different credentials for a while. Pure.

A lane belongs to one credential at a time: that of whoever took it up last, or of the first one
that is accepted while another is refused. Who has another one shares its limits and learns and
tells all the same whether the partner is there; only a refusal is nobody's business but its own.
So two nodes never take a lane from each other in turns.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from conversion_relay.core.lane import Condition, LanePolicy, answered, new_lane, resumed
from conversion_relay.core.signal import Answer, Signal
from conversion_relay.service.store.cluster import SharedLane


def learnt(known: SharedLane, answer: Answer, policy: LanePolicy, credential: str) -> SharedLane:
    """The lane after a request of a node with this credential has ended."""
    own = known.credential == credential
    if not own and answer.signal is Signal.REFUSED:
        return known
    lane = answered(known.lane, answer, policy)
    was_held = known.lane.condition is Condition.HELD
    if was_held and lane.condition is Condition.FLOWING:
        return replace(known, lane=lane, credential=credential)
    return replace(known, lane=lane)


def taken_over(
    known: SharedLane, policy: LanePolicy, credential: str, now: datetime
) -> SharedLane:
    """The lane once somebody goes on with this credential.

    What refused the one before is forgotten, and how fast the partner lets us be is not.
    """
    if known.credential == credential:
        return known
    lane = known.lane
    if lane.condition is Condition.HELD:
        lane = replace(new_lane(policy), since=now, per_second=lane.per_second)
    return replace(known, lane=resumed(lane, now), credential=credential)


def tried_at_once(known: SharedLane, now: datetime) -> SharedLane:
    """The lane after somebody changed what stopped it."""
    return replace(known, lane=resumed(known.lane, now))
