"""Each rule by table: what opens it, and what is not enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition
from conversion_relay.service.alerting.alert import SERVICE, Facts, Severity
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.figures import (
    COMMIT_SECONDS,
    COMMITS,
    RefusalFigures,
    StoreFigures,
)
from conversion_relay.service.monitor.node_rules import NODE_RULES
from conversion_relay.service.monitor.rules import MONITOR_BROKEN, RULES, findings
from conversion_relay.service.monitor.view import Found, Limits, Rule, View
from conversion_relay.service.store.history import Waiting
from service.monitor.examples import (
    HOUR,
    KEPT,
    NOW,
    PLANNED,
    QUARANTINED,
    REJECTED,
    REJECTED_TOO,
    TICK,
    UNMATCHED,
    Counted,
    alert,
    heard_every,
    lane,
    refused,
    requests,
    rule,
    settled,
    view,
)

JUST_NOW = timedelta(seconds=20)
LATELY = timedelta(minutes=3)
BEFORE = timedelta(minutes=30)
MIB = 2**20


def _now(counts: dict[Reading, float]) -> Counted:
    return JUST_NOW, counts


def _held(count: int) -> list[Waiting]:
    return [Waiting("tiktok", State.HELD, count, NOW - HOUR)]


def _pending(age: timedelta) -> list[Waiting]:
    return [Waiting("tiktok", State.PENDING, 7, NOW - age)]


def _full(free: int) -> StoreFigures:
    return StoreFigures(sizes={"disk_free": free * MIB, "disk_size": 1_000 * MIB})


BUSY = [(timedelta(seconds=seconds), {KEPT: 5.0, PLANNED: 5.0}) for seconds in range(0, 3_600, 5)]
FAILING = CanaryStanding("tiktok", False, failing_since=NOW, failures=1, reason="no answer")  # noqa: FBT003
WELL = CanaryStanding("tiktok", False, last_success_at=NOW)  # noqa: FBT003

OPENS: dict[str, list[View]] = {
    "lane_held": [view(lanes=lane(condition=Condition.HELD, reason="code 40105", since=NOW))],
    "lane_open": [view(lanes=lane(condition=Condition.OPEN, reason="HTTP 502", since=NOW))],
    "throttled": [
        view(lanes=lane(condition=Condition.THROTTLED, since=NOW)),
        view(_now({requests("throttled"): 3, requests("accepted"): 50})),
    ],
    "delivery_failing": [
        view(_now({requests("unknown"): 2})),
        view(_now({requests("deferred"): 1, requests("unknown"): 1})),
        view(_now({requests("refused"): 5})),
        view(_now({requests("deferred"): 6, requests("accepted"): 6})),
    ],
    "worker_stuck": [
        view(lanes=lane(turned_at=NOW - timedelta(seconds=31))),
        view(lanes=lane(turned_at=None)),
    ],
    "backlog_age": [
        view(waiting=_pending(timedelta(minutes=10, seconds=1))),
        view(limits=Limits(oldest_backlog=LATELY), waiting=_pending(timedelta(minutes=4))),
    ],
    "dead_letters": [
        view(_now({settled("dead"): 5, settled("delivered"): 400})),
        view(_now({settled("uncertain"): 1, settled("delivered"): 4_000})),
        view(_now({settled("dead"): 1}), (BEFORE, {settled("dead"): 4})),
    ],
    "events_held": [view(waiting=_held(3))],
    "rejections_rising": [
        view(_now({REJECTED: 20, PLANNED: 10}), (BEFORE, {PLANNED: 500, REJECTED: 10})),
        view(_now({REJECTED: 12})),
        view(_now({REJECTED: 9, REJECTED_TOO: 9, PLANNED: 3})),
        view((LATELY, {REJECTED: 20, PLANNED: 40}), (BEFORE, {PLANNED: 500})),
    ],
    "unmatched_rising": [
        view(_now({UNMATCHED: 60}), (BEFORE, {KEPT: 4_000, UNMATCHED: 2_000})),
    ],
    "quarantine_rising": [
        view(_now({QUARANTINED: 12, KEPT: 10}), (BEFORE, {KEPT: 500})),
    ],
    "signature_failures": [
        view(_now({refused("unauthorized"): 5, KEPT: 50})),
        view(_now({refused("unauthorized"): 1}), (BEFORE, {refused("unauthorized"): 2})),
        view(
            (LATELY, {refused("unauthorized"): 1, KEPT: 9}),
            opened=[alert("signature_failures", "shop")],
        ),
    ],
    "half_signed": [view((LATELY, {refused("batch-lacks-bearer"): 1}))],
    "requests_refused": [view(_now({refused("body-too-large"): 3, refused("too-slow"): 2}))],
    "overloaded": [
        view(_now({refused("busy"): 10})),
        view(_now({refused("too-many-events"): 10})),
        view(_now({("turned_away", ("too-many-connections",)): 10})),
    ],
    "unknown_sources": [
        view(_now({refused("unknown-source", "unknown"): 10})),
        view(
            _now({refused("unauthorized", "unknown"): 1}),
            (LATELY, {refused("unauthorized", "unknown"): 9}),
        ),
    ],
    "silence": [
        view(habits={"shop": heard_every(TICK, NOW - timedelta(seconds=50))}),
        view(
            habits={"shop": heard_every(TICK, NOW - timedelta(seconds=50))},
            opened=[alert("silence", "shop", NOW - timedelta(seconds=5))],
        ),
    ],
    "canary_failed": [view(canaries={"tiktok": FAILING})],
    "store_failing": [view(store=StoreFigures(trouble="database or disk is full"))],
    "store_unreadable": [view(store=StoreFigures(unread="no answer within 4 s"))],
    "store_slow": [
        view(_now({(COMMITS, ()): 10, (COMMIT_SECONDS, ()): 5.0})),
        view(_now({(COMMITS, ()): 1, (COMMIT_SECONDS, ()): 31.0})),
        view(store=StoreFigures(waiting_events=5_000)),
    ],
    "disk_nearly_full": [
        view(store=_full(100)),
        view(store=_full(50)),
        view(store=_full(110), opened=[alert("disk_nearly_full", SERVICE)]),
        view(store=_full(400), limits=Limits(disk_used=0.5)),
    ],
    "configuration_refused": [view(refusal=RefusalFigures(NOW, "tiktok.presets: unknown"))],
}

NOT_ENOUGH: dict[str, list[View]] = {
    "lane_held": [view(lanes=lane(condition=Condition.OPEN))],
    "lane_open": [view(lanes=lane(condition=Condition.HELD))],
    "throttled": [view(_now({requests("throttled"): 2}))],
    "delivery_failing": [
        view(_now({requests("unknown"): 1})),
        view(_now({requests("unknown"): 4, requests("accepted"): 1})),
        view(_now({requests("refused"): 4})),
        view(_now({requests("refused"): 9, requests("accepted"): 1})),
        view(_now({requests("credentialproblem"): 9})),
        view((LATELY, {requests("unknown"): 9})),
    ],
    "worker_stuck": [view(lanes=lane(turned_at=NOW - timedelta(seconds=30)))],
    "backlog_age": [
        view(waiting=_pending(timedelta(minutes=10))),
        view(waiting=_held(9)),
        view(waiting=None),
    ],
    "dead_letters": [
        view(_now({settled("dead"): 4})),
        view(_now({settled("dead"): 5, settled("delivered"): 600})),
        view((BEFORE, {settled("dead"): 50})),
        view(_now({settled("dead", "~canary"): 9, settled("uncertain", "~canary"): 1})),
    ],
    "events_held": [view(waiting=_held(3), lanes=lane(condition=Condition.HELD))],
    "rejections_rising": [
        view(_now({REJECTED: 5})),
        view(_now({REJECTED: 6, PLANNED: 200})),
        view(_now({REJECTED: 20, PLANNED: 20}), (BEFORE, {PLANNED: 500, REJECTED: 500})),
        view(_now({PLANNED: 60}), (LATELY, {REJECTED: 60})),  # mended
    ],
    "unmatched_rising": [
        view(_now({UNMATCHED: 60})),  # nothing is known of before
        view(_now({UNMATCHED: 60}), (BEFORE, {KEPT: 100, UNMATCHED: 9_000})),
        view(*BUSY, _now({UNMATCHED: 600})),  # other traffic, in addition
    ],
    "quarantine_rising": [view(_now({QUARANTINED: 5, KEPT: 1}))],
    "signature_failures": [
        view(_now({refused("unauthorized"): 4, KEPT: 9})),
        view(_now({refused("unauthorized"): 2})),
        view(_now({refused("unauthorized", "unknown"): 50})),
    ],
    "half_signed": [view((BEFORE, {refused("batch-lacks-bearer"): 9}))],
    "requests_refused": [
        view(_now({refused("too-slow"): 4})),
        view(_now({refused("busy"): 9, refused("not-kept"): 9, refused("unauthorized"): 9})),
    ],
    "overloaded": [view(_now({refused("busy"): 9})), view((LATELY, {refused("busy"): 90}))],
    "unknown_sources": [
        view(_now({refused("unknown-source", "unknown"): 9})),
        view((LATELY, {refused("unknown-source", "unknown"): 90})),
    ],
    "silence": [
        view(),
        view(habits={}),
        view(habits={"other": heard_every(TICK, NOW - HOUR / 2)}),
        view(habits={"shop": heard_every(TICK, NOW - timedelta(seconds=40))}),
        view(habits={"shop": heard_every(TICK, NOW - HOUR / 2)}, limits=Limits(silence=False)),
        view(
            habits={"shop": heard_every(TICK, NOW)},
            opened=[alert("silence", "shop", NOW - timedelta(seconds=9))],
        ),
    ],
    "canary_failed": [view(canaries={"tiktok": WELL})],
    "store_failing": [view(store=StoreFigures(unread="no answer within 4 s"))],
    "store_unreadable": [view(store=StoreFigures(trouble="database or disk is full"))],
    "store_slow": [
        view(_now({(COMMITS, ()): 4, (COMMIT_SECONDS, ()): 4.0})),
        view(_now({(COMMITS, ()): 900, (COMMIT_SECONDS, ()): 29.0})),
        view(store=StoreFigures(waiting_events=4_999)),
    ],
    "disk_nearly_full": [
        view(store=_full(101)),
        view(store=_full(121), opened=[alert("disk_nearly_full", SERVICE)]),
        view(store=StoreFigures()),
    ],
    "configuration_refused": [view()],
}


def _cases(table: dict[str, list[View]]) -> Iterator[object]:
    for name, views in table.items():
        for number, one in enumerate(views):
            yield pytest.param(name, one, id=f"{name}-{number}")


@pytest.mark.parametrize(("name", "seen"), [*_cases(OPENS)])
def test_a_rule_finds_what_it_is_about(name: str, seen: View) -> None:
    (found,) = rule(name).find(seen)
    assert found.subject in {"tiktok", "shop", SERVICE}
    assert found.summary.endswith((".", "unknown"))
    assert found.destination in {None, found.subject}


@pytest.mark.parametrize(("name", "seen"), [*_cases(NOT_ENOUGH)])
def test_a_rule_is_quiet_about_less(name: str, seen: View) -> None:
    assert list(rule(name).find(seen)) == []


@pytest.mark.parametrize("one", [*RULES[: -len(NODE_RULES)]], ids=lambda one: one.name)
def test_every_rule_is_tried_with_much_and_with_little(one: Rule) -> None:
    assert OPENS[one.name]
    assert NOT_ENOUGH[one.name]


def test_all_is_well_when_all_is_well() -> None:
    assert findings(view(*BUSY)) == ((), ())


def test_what_a_rule_yields_to_comes_before_it_or_exists_at_least() -> None:
    names = [one.name for one in RULES]
    assert len(set(names)) == len(names)
    for one in RULES:
        assert one.yields_to <= set(names) - {one.name}


def test_a_share_is_compared_with_what_was_usual_when_it_rose() -> None:
    facts: Facts = {"mapping": "Order", "usual_share": 0.3}
    for share, opens in ((0.5, True), (0.33, False)):
        counted = {REJECTED: 100 * share, PLANNED: 100 * (1 - share)}
        opened = [alert("rejections_rising", "tiktok", NOW - HOUR / 2, facts)]
        seen = view(_now(counted), (BEFORE, {REJECTED: 900, PLANNED: 100}), opened=opened)
        found = list(rule("rejections_rising").find(seen))
        assert bool(found) is opens
        assert all(one.facts["usual_share"] == 0.3 for one in found)


def test_what_lasts_a_day_has_become_usual_unless_it_is_nearly_all() -> None:
    facts: Facts = {"mapping": "Order", "usual_share": 0.02}
    opened = [alert("rejections_rising", "tiktok", NOW - timedelta(days=1), facts)]
    half, most = {REJECTED: 50.0, PLANNED: 50.0}, {REJECTED: 95.0, PLANNED: 5.0}
    assert not list(rule("rejections_rising").find(view(_now(half), opened=opened)))
    assert list(rule("rejections_rising").find(view(_now(most), opened=opened)))


def test_canaries_reject_nothing() -> None:
    canary = ("mapping_rejections", ("~canary", "tiktok", "Order", "value"))
    assert not list(rule("rejections_rising").find(view(_now({canary: 60}))))


def _broken(_: View) -> Iterator[Found]:
    raise ZeroDivisionError


def test_a_broken_rule_stops_no_other_and_is_told_of() -> None:
    broken = Rule("first", Severity.WARNING, _broken, timedelta(), "always", "Mend it.")
    seen = view(store=StoreFigures(trouble="disk is full"))
    found, faults = findings(seen, (broken, rule("store_failing")))
    assert [one.rule for _, one in found] == ["store_failing", "monitor_broken"]
    assert [one.rule for one in faults] == ["first"]
    assert found[-1][0] is MONITOR_BROKEN
    assert "first" in found[-1][1].summary


def test_a_finding_carries_what_its_rule_says_of_all_alike() -> None:
    find: Callable[[View], Iterator[Found]] = rule("lane_held").find
    seen = view(lanes=lane(condition=Condition.HELD, reason="code 40105", since=NOW))
    (found,) = find(seen)
    finding = rule("lane_held").finding(found)
    assert finding.severity is Severity.CRITICAL
    assert finding.advice == rule("lane_held").advice
    assert (finding.destination, finding.since) == ("tiktok", NOW)
    assert "code 40105" in finding.summary
