"""The life of alerts as pure transitions: suspected, open, resolved.

Knows no rule, but each one's patience and the rules it yields to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from conversion_relay.service.alerting.alert import SERVICE, Alert, Finding, News
from conversion_relay.service.monitor.view import Key, Rule

CALM: Final = timedelta(seconds=60)
"""An alert is resolved once nothing was found for so long."""
GRACE: Final = timedelta(minutes=2)
"""So long after a start, nothing that was open before is resolved: rules need their windows."""
Told: TypeAlias = tuple[News, Alert]


@dataclass(frozen=True, slots=True)
class Standing:
    """The alerts at a moment.

    Attributes:
        open: by rule and subject.
        suspected: what is found and not open yet, and since when.
        calm: of open ones, since when nothing is found.
    """

    open: Mapping[Key, Alert] = field(default_factory=dict)
    suspected: Mapping[Key, datetime] = field(default_factory=dict)
    calm: Mapping[Key, datetime] = field(default_factory=dict)


def resumed(alerts: Iterable[Alert], now: datetime) -> Standing:
    """The standing after a start: what was open goes on, and is not resolved at once."""
    found = {key_of(alert.finding): alert for alert in alerts if alert.resolved_at is None}
    return Standing(open=found, calm=dict.fromkeys(found, now + GRACE - CALM))


def taken_over(standing: Standing, kept: Iterable[Alert], now: datetime) -> Standing:
    """The standing of a node that has the duty from now on.

    What is kept as open goes on, as after a start. What the node itself had open goes on too, if
    it is that, or if nobody could be told of it: an alert that is kept, and open no longer, was
    resolved by another node.
    """
    before = resumed(kept, now)
    ours = {
        key: alert
        for key, alert in standing.open.items()
        if (key in before.open and before.open[key].opened_at == alert.opened_at)
        or (key not in before.open and not alert.id)
    }
    calm = {key: since for key, since in before.calm.items() if key not in ours}
    calm |= {key: since for key, since in standing.calm.items() if key in ours}
    return Standing({**before.open, **ours}, standing.suspected, calm)


def adopted(standing: Standing, kept: Iterable[Alert], now: datetime) -> Standing:
    """With those alerts that another node had open, and could not have kept before."""
    found = resumed((one for one in kept if key_of(one.finding) not in standing.open), now)
    return replace(
        standing,
        open={**standing.open, **found.open},
        calm={**standing.calm, **found.calm},
    )


def parted(standing: Standing, rules: AbstractSet[str]) -> tuple[Standing, Standing]:
    """What these rules found, and what others did."""
    return (
        _only(standing, lambda key: key[0] in rules),
        _only(standing, lambda key: key[0] not in rules),
    )


def joined(one: Standing, other: Standing) -> Standing:
    """Both together."""
    return Standing(
        {**one.open, **other.open},
        {**one.suspected, **other.suspected},
        {**one.calm, **other.calm},
    )


def _only(standing: Standing, is_meant: Callable[[Key], bool]) -> Standing:
    return Standing(
        {key: one for key, one in standing.open.items() if is_meant(key)},
        {key: one for key, one in standing.suspected.items() if is_meant(key)},
        {key: one for key, one in standing.calm.items() if is_meant(key)},
    )


def key_of(finding: Finding) -> Key:
    """Under which at most one alert is open."""
    return finding.rule, finding.subject


def turn(
    standing: Standing, found: Sequence[tuple[Rule, Finding]], now: datetime, repeat: timedelta
) -> tuple[Standing, Sequence[Told]]:
    """The next standing, and what there is to say: of each alert at most one thing.

    Args:
        standing: before.
        found: what the rules find now; the stronger before those that yield to them.
        now: the present, aware.
        repeat: how often an alert that stays open is told again.
    """
    seen = frozenset(key_of(finding) for _, finding in found)
    suspected = {key: min(standing.suspected.get(key, now), now) for key in seen}
    going_on, opened = _opened(standing.open, found, suspected, now)
    calm = {
        key: min(since, now + GRACE) if (since := standing.calm.get(key)) else now
        for key in going_on.keys() - seen
    }
    over = frozenset(key for key, since in calm.items() if now - since >= CALM)
    resolved = [replace(going_on[key], resolved_at=now) for key in sorted(over)]
    due = sorted(key for key in going_on.keys() & seen if _is_due(going_on[key], now, repeat))
    repeated = {key: replace(going_on[key], notified_at=now) for key in due}
    told: list[Told] = [
        *((News.OPENED, alert) for alert in opened),
        *((News.STILL_OPEN, alert) for alert in repeated.values()),
        *((News.RESOLVED, alert) for alert in resolved),
    ]
    left = {key: alert for key, alert in (going_on | repeated).items() if key not in over}
    waits = {key: since for key, since in calm.items() if key not in over}
    return Standing(left, suspected, waits), told


def _opened(
    before: Mapping[Key, Alert],
    found: Iterable[tuple[Rule, Finding]],
    suspected: Mapping[Key, datetime],
    now: datetime,
) -> tuple[dict[Key, Alert], Sequence[Alert]]:
    """What is open, and which of that is new."""
    present, new = dict(before), []
    for rule, finding in found:
        key = key_of(finding)
        if key in present:
            since = present[key].finding.since
            present[key] = replace(present[key], finding=replace(finding, since=since))
        elif now - suspected[key] >= rule.patience and not _yields(rule, finding, present):
            since = finding.since or suspected[key]
            present[key] = Alert(replace(finding, since=since), now, now)
            new.append(present[key])
    return present, new


def _yields(rule: Rule, finding: Finding, present: Mapping[Key, Alert]) -> bool:
    """Whether an open alert says it already."""
    subjects = (finding.subject, SERVICE)
    return any((name, subject) in present for name in rule.yields_to for subject in subjects)


def _is_due(alert: Alert, now: datetime, repeat: timedelta) -> bool:
    return now - alert.notified_at >= repeat
