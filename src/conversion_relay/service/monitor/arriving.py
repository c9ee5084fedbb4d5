"""What may be wrong with what sources send: a function for each rule. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Final, TypeAlias

from conversion_relay.service.alerting.alert import SERVICE, Alert
from conversion_relay.service.monitor.course import Window
from conversion_relay.service.monitor.shares import (
    LEAST_BAD,
    NOTHING,
    Share,
    has_risen,
    is_still_high,
    usual,
)
from conversion_relay.service.monitor.silence import quiet_too_long
from conversion_relay.service.monitor.view import HOUR, LATELY, MINUTE, Found, View
from conversion_relay.service.quantities import counted, duration
from conversion_relay.service.store.history import CANARY_SOURCE

_Shares: TypeAlias = Mapping[str, Share]
_Risen: TypeAlias = tuple[str, Share, float]
_USUAL: Final = "usual_share"
_WORST: Final = "mapping"
_FEW, _SOME, _MANY = 3, 5, 10
_FULL: Final = frozenset({"busy", "too-many-events", "too-many-connections"})
_HALF_SIGNED: Final = "batch-lacks-bearer"
_UNSIGNED: Final = "unauthorized"
_NOT_THEIRS: Final = _FULL | {
    *(_HALF_SIGNED, _UNSIGNED),
    *("not-kept", "not-erased", "internal-error", "no-store"),
}
"""What other rules are about."""
_LEAST_KNOWN: Final = 50
_TELLING: Final = ((MINUTE, 20), (LATELY, 1), (HOUR, 1))
"""The shortest time with so many events tells best whether something goes on."""
_NEARLY_ALL: Final = 0.9
_DAY: Final = timedelta(days=1)
_NOBODY: Final = "unknown"


def rejections_rising(view: View) -> Iterator[Found]:
    """Mappings can use fewer of their events than they used to."""
    for name in view.present.lanes:

        def shares(window: Window, name: str = name) -> _Shares:
            return _rejected(window, name)

        risen = _risen(view, "rejections_rising", name, shares)
        if risen is not None:
            mapping, share, expected = risen
            summary = (
                f"The mapping {mapping} of {name} rejects {share.part:.0%} of its events "
                f"({int(share.bad):,} of {int(share.all):,}); {expected:.0%} is usual."
            )
            yield Found(name, summary, name, facts=_facts(mapping, share, expected))


def unmatched_rising(view: View) -> Iterator[Found]:
    """More events of a source than usual match no trigger, and fewer than usual match one."""
    for name in view.present.sources:

        def shares(window: Window, name: str = name) -> _Shares:
            return {name: _disposed(window, name, "unmatched")}

        risen = _risen(view, "unmatched_rising", name, shares)
        if risen is not None and _fewer_match(view, name):
            _, share, expected = risen
            summary = (
                f"{share.part:.0%} of the events of {name} match no trigger "
                f"({int(share.bad):,} of {int(share.all):,}); {expected:.0%} is usual."
            )
            yield Found(name, summary, facts=_facts(name, share, expected))


def quarantine_rising(view: View) -> Iterator[Found]:
    """More of what a source sends than usual is no event at all."""
    for name in view.present.sources:

        def shares(window: Window, name: str = name) -> _Shares:
            return {name: _disposed(window, name, "quarantined")}

        risen = _risen(view, "quarantine_rising", name, shares)
        if risen is not None:
            _, share, expected = risen
            summary = (
                f"{share.part:.0%} of what {name} sends is no event "
                f"({int(share.bad):,} of {int(share.all):,}); {expected:.0%} is usual."
            )
            yield Found(name, summary, facts=_facts(name, share, expected))


def signature_failures(view: View) -> Iterator[Found]:
    """Requests of a source carry no credential, or a wrong one."""
    for name in sorted(view.present.sources):
        times, lately, in_an_hour = _refused(view, name, {_UNSIGNED})
        goes_on = lately and view.opened("signature_failures", name) is not None
        if not (times >= _SOME or goes_on or in_an_hour >= _FEW):
            continue
        if times >= _SOME or goes_on or not view.last(HOUR).total("events_kept", source=name):
            summary = (
                f"{counted(in_an_hour, 'request')} to {name} in the last hour carried no "
                "credential or a wrong one, and were refused."
            )
            yield Found(name, summary, facts={"requests": in_an_hour})


def half_signed(view: View) -> Iterator[Found]:
    """Segment sends batches without the bearer token."""
    window = view.last(LATELY)
    for name in view.present.sources:
        times = int(window.total("requests_refused", source=name, problem=_HALF_SIGNED))
        if times:
            summary = (
                f"{counted(times, 'batch request')} to {name} in the last 5 minutes came without "
                "the bearer token. Segment tries again for 4 hours; then they are lost."
            )
            yield Found(name, summary, facts={"requests": times})


def requests_refused(view: View) -> Iterator[Found]:
    """Requests of a source are refused for what they are."""
    for name in sorted(view.present.sources):
        refused = view.last(LATELY).by("requests_refused", "problem", source=name)
        problems = {problem for (problem,) in refused} - _NOT_THEIRS
        times, lately, in_an_hour = _refused(view, name, problems)
        if times >= _SOME or (lately and view.opened("requests_refused", name) is not None):
            summary = (
                f"{counted(in_an_hour, 'request')} to {name} in the last hour were refused: "
                f"{', '.join(sorted(problems))}."
            )
            yield Found(name, summary, facts={"requests": in_an_hour})


def overloaded(view: View) -> Iterator[Found]:
    """More arrives than is taken."""
    found: Counter[str] = Counter()
    window = view.last(MINUTE)
    for (name, problem), times in window.by("requests_refused", "source", "problem").items():
        found[name if name in view.present.sources else SERVICE] += times * (problem in _FULL)
    for (problem,), times in window.by("turned_away", "problem").items():
        found[SERVICE] += times * (problem in _FULL)
    for name, times in found.items():
        if times >= _MANY:
            where = "the service" if name == SERVICE else name
            summary = f"{counted(times, 'request')} to {where} in the last minute came too many."
            yield Found(name, summary, facts={"requests": times})


def unknown_sources(view: View) -> Iterator[Found]:
    """Somebody posts to a source, or with a write key, that is not configured."""
    if not view.last(MINUTE).total("requests_refused", source=_NOBODY):
        return
    times = int(view.last(LATELY).total("requests_refused", source=_NOBODY))
    if times >= _MANY:
        summary = (
            f"{counted(times, 'request')} in the last 5 minutes named a source, or carried a "
            "write key, that is not configured."
        )
        yield Found(SERVICE, summary, facts={"requests": times})


def silence(view: View) -> Iterator[Found]:
    """A source that used to send is quiet."""
    if not view.limits.silence or view.habits is None:
        return
    for name in sorted(view.present.sources & view.habits.keys()):
        habits, alert = view.habits[name], view.opened("silence", name)
        since = max(habits.last, view.started_at, view.heard_since or view.started_at)
        allowed = quiet_too_long(habits, since, view.now)
        still = alert is not None and habits.last <= alert.opened_at
        if allowed is not None or still:
            quiet = view.now - habits.last
            usually = "" if allowed is None else f"; {duration(allowed)} would be usual"
            summary = f"Nothing has arrived from {name} for {duration(quiet)}{usually}."
            facts = {"quiet_seconds": round(quiet.total_seconds())}
            yield Found(name, summary, since=habits.last, facts=facts)


def _risen(
    view: View, rule: str, subject: str, shares: Callable[[Window], _Shares]
) -> _Risen | None:
    """Whose share has risen and is still high: its name, the share, and what is usual."""
    alert = view.opened(rule, subject)
    if alert is not None:
        return _still_high(view, alert, shares)
    for length in (MINUTE, LATELY):
        for name, share in shares(view.last(length)).items():
            if share.bad < LEAST_BAD:
                continue
            expected = usual(shares(view.before(length)).get(name, NOTHING))
            if has_risen(share, expected) and is_still_high(_latest(view, shares, name), expected):
                return name, share, expected
    return None


def _still_high(view: View, alert: Alert, shares: Callable[[Window], _Shares]) -> _Risen | None:
    """Compared with what was usual when it began, so that the new share does not become so.

    Not within a day, that is; and what is nearly all never does.
    """
    facts = alert.finding.facts
    name, expected = str(facts.get(_WORST)), facts.get(_USUAL)
    expected = float(expected) if isinstance(expected, int | float) else usual(NOTHING)
    share = _latest(view, shares, name)
    lasts = share.part >= _NEARLY_ALL or view.now - alert.opened_at < _DAY
    return (name, share, expected) if lasts and is_still_high(share, expected) else None


def _latest(view: View, shares: Callable[[Window], _Shares], name: str) -> Share:
    """The present share, over the shortest time that tells it."""
    for length, least in _TELLING:
        share = shares(view.last(length)).get(name, NOTHING)
        if share.all >= least:
            return share
    return NOTHING


def _fewer_match(view: View, name: str) -> bool:
    """Whether fewer events than usual match, so that it is not other traffic in addition."""
    if view.opened("unmatched_rising", name) is not None:
        return True
    before = view.before(LATELY)
    earlier = _disposed(before, name, "unmatched")
    if earlier.all < _LEAST_KNOWN:
        return False
    lately = view.last(LATELY)
    usually = (earlier.all - earlier.bad) * (lately.length / before.length)
    recent = _disposed(lately, name, "unmatched")
    return usually >= LEAST_BAD and recent.all - recent.bad < usually / 2


def _rejected(window: Window, destination: str) -> _Shares:
    """By mapping; an event may have several notes, but only one for each field."""
    notes = window.by("mapping_rejections", "mapping", "field", "source", destination=destination)
    by_field: Counter[tuple[str, str]] = Counter()
    for (mapping, field, source), count in notes.items():
        by_field[mapping, field] += count * (source != CANARY_SOURCE)
    rejected: dict[str, int] = {}
    for (mapping, _), count in by_field.items():
        rejected[mapping] = max(rejected.get(mapping, 0), count)
    planned = window.by("deliveries_planned", "mapping", destination=destination)
    names = {*rejected, *(mapping for (mapping,) in planned)}
    return {
        name: Share(rejected.get(name, 0), rejected.get(name, 0) + planned[name,])
        for name in names
    }


def _disposed(window: Window, source: str, disposition: str) -> Share:
    kept = window.by("events_kept", "disposition", source=source)
    return Share(kept[disposition,], sum(kept.values()))


def _refused(view: View, source: str, problems: AbstractSet[str]) -> tuple[int, int, int]:
    """The requests of the last minute, minutes and hour with these problems."""
    if not _count(view.last(HOUR), source, problems):
        return 0, 0, 0
    minute, lately, hour = (
        _count(view.last(length), source, problems) for length in (MINUTE, LATELY, HOUR)
    )
    return minute, lately, hour


def _count(window: Window, source: str, problems: AbstractSet[str]) -> int:
    found = window.by("requests_refused", "problem", source=source)
    return sum(found[problem,] for problem in problems)


def _facts(name: str, share: Share, expected: float) -> dict[str, str | int | float | None]:
    return {
        _WORST: name,
        "bad": int(share.bad),
        "all": int(share.all),
        _USUAL: round(expected, 4),
    }
