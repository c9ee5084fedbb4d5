"""What may be wrong with delivery: a function for each rule. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition
from conversion_relay.service.monitor.course import Window
from conversion_relay.service.monitor.figures import LaneFigures
from conversion_relay.service.monitor.view import HOUR, LATELY, MINUTE, Found, View
from conversion_relay.service.quantities import counted, duration
from conversion_relay.service.store.history import CANARY_SOURCE

STUCK_AFTER: Final = timedelta(seconds=30)
"""A worker looks for something to do every few seconds, however long requests take."""
_UNANSWERED: Final = ("deferred", "unknown")
_JUDGED: Final = ("refused", "suspect", "companion")
_FEW, _SOME, _MANY = 2, 3, 5
_DEAD_SHARE: Final = 0.01
_ON_ITS_WAY: Final = frozenset({State.PENDING, State.CLAIMED})


def lane_held(view: View) -> Iterator[Found]:
    """TikTok refuses the credentials or the settings."""
    for name, lane in _lanes(view, Condition.HELD):
        summary = f"TikTok refuses what {name} sends, so its events are held: {lane.reason}."
        yield Found(name, summary, name, lane.since)


def lane_open(view: View) -> Iterator[Found]:
    """TikTok is away."""
    for name, lane in _lanes(view, Condition.OPEN):
        summary = f"TikTok is away for {name}: several requests in a row failed ({lane.reason})."
        yield Found(name, summary, name, lane.since)


def throttled(view: View) -> Iterator[Found]:
    """TikTok says that too much is sent."""
    window = view.last(MINUTE)
    for name, lane in view.present.lanes.items():
        times = window.total("destination_requests", destination=name, result="throttled")
        waits = lane.condition is Condition.THROTTLED
        if waits or times >= _SOME:
            summary = (
                f"TikTok says that too much is sent for {name}: {counted(int(times), 'request')} "
                "of the last minute throttled."
            )
            yield Found(name, summary, name, lane.since if waits else None, {"requests": times})


def delivery_failing(view: View) -> Iterator[Found]:
    """Requests fail, whatever the lane makes of it."""
    window = view.last(MINUTE)
    for name in view.present.lanes:
        accepted = _requests(window, name, "accepted")
        unanswered = _requests(window, name, *_UNANSWERED)
        judged = _requests(window, name, *_JUDGED)
        nothing = not accepted and (unanswered >= _FEW or judged >= _MANY)
        if nothing or (unanswered >= _MANY and unanswered >= accepted):
            bad, total = int(unanswered + judged), int(accepted + unanswered + judged)
            how = "were refused by TikTok" if judged > unanswered else "failed or got no answer"
            summary = f"{bad:,} of the last minute's {total:,} requests for {name} {how}."
            facts = {"failed": bad, "accepted": int(accepted)}
            yield Found(name, summary, name, facts=facts)


def dead_letters(view: View) -> Iterator[Found]:
    """Events were given up."""
    for name in view.present.lanes:
        if not _given_up(view.last(LATELY), name):
            continue
        hour = view.last(HOUR)
        given_up, delivered = _given_up(hour, name), _settled(hour, name, State.DELIVERED)
        uncertain = _settled(hour, name, State.UNCERTAIN)
        is_much = given_up >= _MANY and given_up >= _DEAD_SHARE * (given_up + delivered)
        if uncertain or is_much:
            summary = (
                f"{counted(int(given_up), 'event')} for {name} were given up in the last hour, "
                f"{int(uncertain):,} of them because they may have arrived."
            )
            facts = {"given_up": int(given_up), "delivered": int(delivered)}
            yield Found(name, summary, name, facts=facts)


def worker_stuck(view: View) -> Iterator[Found]:
    """Nobody looks for what is to be delivered."""
    for name, lane in view.present.lanes.items():
        turned_at = max(lane.turned_at or view.started_at, view.started_at)
        still = view.now - turned_at
        if still > STUCK_AFTER:
            summary = f"The worker of {name} has not looked for work for {duration(still)}."
            yield Found(name, summary, name, turned_at)


def backlog_age(view: View) -> Iterator[Found]:
    """An event waits for too long."""
    for name in view.present.lanes:
        waiting = [
            one
            for one in view.present.waiting or ()
            if one.destination == name and one.state in _ON_ITS_WAY and one.oldest is not None
        ]
        oldest = min((one.oldest for one in waiting if one.oldest is not None), default=view.now)
        age, count = view.now - oldest, sum(one.count for one in waiting)
        if age > view.limits.oldest_backlog:
            summary = (
                f"{counted(count, 'event')} for {name} waited, the oldest for {duration(age)}."
            )
            facts = {"waiting": count, "oldest_seconds": round(age.total_seconds())}
            yield Found(name, summary, name, facts=facts)


def events_held(view: View) -> Iterator[Found]:
    """Events are held although their lane is not: they were made with settings of before."""
    for name, lane in view.present.lanes.items():
        held = sum(
            one.count
            for one in view.present.waiting or ()
            if one.destination == name and one.state is State.HELD
        )
        if held and lane.condition is not Condition.HELD:
            summary = (
                f"{counted(held, 'event')} for {name} stay held although its lane is not: TikTok "
                "refuses the pixel or the test event code they were made with."
            )
            yield Found(name, summary, name, facts={"held": held})


def canary_failed(view: View) -> Iterator[Found]:
    """The test event did not come through."""
    for name, canary in view.present.canaries.items():
        if canary.failing_since is not None:
            summary = (
                f"The canary of {name} did not come through "
                f"({counted(canary.failures, 'failure')} in a row): {canary.reason}."
            )
            facts = {"failures": canary.failures}
            yield Found(name, summary, name, canary.failing_since, facts)


def _lanes(view: View, condition: Condition) -> Iterator[tuple[str, LaneFigures]]:
    for name, lane in view.present.lanes.items():
        if lane.condition is condition:
            yield name, lane


def _requests(window: Window, name: str, *results: str) -> float:
    found = window.by("destination_requests", "result", destination=name)
    return sum(found[result,] for result in results)


def _settled(window: Window, name: str, state: State) -> float:
    """Without canaries: what becomes of those is `canary_failed`'s to say."""
    found = window.by("deliveries_settled", "source", destination=name, state=state.value)
    return sum(count for (source,), count in found.items() if source != CANARY_SOURCE)


def _given_up(window: Window, name: str) -> float:
    return _settled(window, name, State.DEAD) + _settled(window, name, State.UNCERTAIN)
