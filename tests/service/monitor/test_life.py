"""The life of alerts, by table and by law: for every course of findings the same holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.alerting.alert import SERVICE, Alert, Finding, News, Severity
from conversion_relay.service.monitor.life import (
    CALM,
    GRACE,
    Standing,
    Told,
    adopted,
    parted,
    resumed,
    taken_over,
    turn,
)
from conversion_relay.service.monitor.view import Found, Rule, View
from service.monitor.examples import alert
from support.time import START

TICK = timedelta(seconds=5)
REPEAT = timedelta(hours=4)
PATIENCE = timedelta(seconds=15)


def _nothing(_: View) -> Iterator[Found]:
    return iter(())


def _rule(name: str, patience: timedelta = timedelta(), *yields_to: str) -> Rule:
    severity = Severity.CRITICAL
    return Rule(name, severity, _nothing, patience, "it is", "Mend.", frozenset(yields_to))


AT_ONCE = _rule("at_once")
PATIENT = _rule("patient", PATIENCE)
WEAKER = _rule("weaker", timedelta(), "at_once")
RULES = (AT_ONCE, PATIENT, WEAKER)
Moment = tuple[Rule, Finding]


def _found(rule: Rule, subject: str = "eu", **changes: object) -> Moment:
    found = Found(subject, "It is.")
    return rule, rule.finding(Found(**({"subject": subject, "summary": found.summary} | changes)))  # type: ignore[arg-type]


def _live(
    course: Sequence[Sequence[Moment]], begin: Standing | None = None, repeat: timedelta = REPEAT
) -> tuple[Standing, list[tuple[int, News, str]]]:
    """Tick after tick; what was said in which."""
    standing, said = begin or Standing(), list[tuple[int, News, str]]()
    for number, found in enumerate(course):
        standing, told = turn(standing, found, START + number * TICK, repeat)
        said += [(number, news, one.finding.rule) for news, one in told]
    return standing, said


def test_what_is_critical_opens_at_once_and_the_rest_after_its_patience() -> None:
    _, said = _live([[_found(AT_ONCE), _found(PATIENT)]] * 6)
    assert said == [(0, News.OPENED, "at_once"), (3, News.OPENED, "patient")]


def test_patience_begins_anew_after_a_moment_without() -> None:
    _, said = _live([*[[_found(PATIENT)]] * 3, [], *[[_found(PATIENT)]] * 3])
    assert said == []


def test_an_alert_is_resolved_once_it_was_calm_for_a_minute() -> None:
    calm = CALM // TICK
    flapping = [[_found(AT_ONCE)], *[[]] * (calm - 1)] * 3
    standing, said = _live([*flapping, [_found(AT_ONCE)], *[[]] * (calm + 1)])
    assert said == [(0, News.OPENED, "at_once"), (4 * calm + 1, News.RESOLVED, "at_once")]
    assert standing == Standing()


def test_an_open_alert_is_told_again_and_says_what_is_true_now() -> None:
    course = [[_found(AT_ONCE, summary=f"{number} wait.")] for number in range(25)]
    standing, said = _live(course, repeat=12 * TICK)
    assert said == [(0, News.OPENED, "at_once")] + [
        (number, News.STILL_OPEN, "at_once") for number in (12, 24)
    ]
    (one,) = standing.open.values()
    assert one.finding.summary == "24 wait."
    assert one.opened_at == one.finding.since == START
    assert one.notified_at == START + 24 * TICK


def test_it_began_when_its_rule_says_or_when_it_was_found_first() -> None:
    earlier = START - timedelta(hours=2)
    standing, _ = _live([[_found(PATIENT), _found(AT_ONCE, since=earlier)]] * 5)
    assert {key[0]: one.finding.since for key, one in standing.open.items()} == {
        "patient": START,
        "at_once": earlier,
    }


@pytest.mark.parametrize(
    ("stronger", "opens"), [(("at_once", "eu"), False), (("at_once", SERVICE), False),
                            (("at_once", "us"), True), (("other", "eu"), True)]
)  # fmt: skip
def test_what_another_alert_says_is_not_said_again(
    stronger: tuple[str, str], *, opens: bool
) -> None:
    begin = Standing({stronger: alert(*stronger)})
    rule = _rule(stronger[0])
    _, said = _live([[_found(rule, stronger[1]), _found(WEAKER)]], begin)
    assert ((0, News.OPENED, "weaker") in said) is opens


def test_what_is_open_does_not_yield_any_more() -> None:
    standing, said = _live([[_found(WEAKER)], *[[_found(AT_ONCE), _found(WEAKER)]] * 30])
    assert [(news, rule) for _, news, rule in said] == [
        (News.OPENED, "weaker"),
        (News.OPENED, "at_once"),
    ]
    assert len(standing.open) == 2


def test_after_a_start_alerts_go_on_and_are_not_opened_again() -> None:
    begin = resumed([alert("at_once", "eu", START - REPEAT / 2)], START)
    _, said = _live([[_found(AT_ONCE)]] * 9, begin)
    assert said == []


def test_after_a_start_nothing_is_resolved_before_the_rules_had_their_time() -> None:
    begin = resumed([alert("at_once", "eu", START - REPEAT / 2)], START)
    _, said = _live([[]] * (2 * GRACE // TICK), begin)
    assert said == [(GRACE // TICK, News.RESOLVED, "at_once")]


@st.composite
def _courses(draw: st.DrawFn) -> list[list[Moment]]:
    """Findings that come and go, in stretches, of three rules and two subjects."""
    course: list[list[Moment]] = []
    for _ in range(draw(st.integers(1, 12))):
        present = [
            _found(rule, subject)
            for rule in RULES
            for subject in ("eu", "us")
            if draw(st.booleans())
        ]
        course += [present] * draw(st.integers(1, 16))
    return course


@given(_courses(), st.integers(3, 40))
def test_the_laws_of_an_alert(course: list[list[Moment]], repeat: int) -> None:
    standing, told = Standing(), dict[tuple[str, str], list[tuple[datetime, Told]]]()
    for number, found in enumerate(course):
        now = START + number * TICK
        standing, news = turn(standing, found, now, repeat * TICK)
        keys = [(one.finding.rule, one.finding.subject) for _, one in news]
        assert len(set(keys)) == len(keys)  # of each at most one thing at a time
        for key, one in zip(keys, news, strict=True):
            told.setdefault(key, []).append((now, one))
    for key, stories in told.items():
        _obeys(stories, is_open=key in standing.open, repeat=repeat * TICK)


def _obeys(stories: Sequence[tuple[datetime, Told]], *, is_open: bool, repeat: timedelta) -> None:
    """Opened first, resolved last, and nothing after it but a new beginning."""
    before: tuple[datetime, Told] | None = None
    for now, (news, one) in stories:
        if before is None or before[1][0] is News.RESOLVED:
            assert news is News.OPENED
            assert one.opened_at == one.notified_at == now
        else:
            assert news is not News.OPENED
            assert one.opened_at == before[1][1].opened_at
        if news is News.STILL_OPEN:
            assert before is not None
            assert now - before[0] >= repeat
        assert (one.resolved_at == now) is (news is News.RESOLVED)
        before = now, (news, one)
    assert before is not None
    assert is_open is (before[1][0] is not News.RESOLVED)


OURS, THEIRS = alert("at_once", "eu"), alert("at_once", "eu", START + TICK)


def test_who_takes_over_goes_on_with_what_is_kept() -> None:
    kept = replace(THEIRS, id=7)
    standing = taken_over(Standing(), [kept], START)
    assert standing.open == {("at_once", "eu"): kept}
    after, told = turn(standing, [], START + GRACE - TICK, REPEAT)
    assert (told, len(after.open)) == ([], 1)


@pytest.mark.parametrize(
    ("own", "kept", "goes_on"),
    [
        (replace(OURS, id=7), [replace(OURS, id=7)], replace(OURS, id=7)),
        (replace(OURS, id=7), [], None),  # another node resolved it
        (OURS, [], OURS),  # it was told, and never kept
        (replace(OURS, id=7), [replace(THEIRS, id=8)], replace(THEIRS, id=8)),
        (OURS, [replace(THEIRS, id=8)], replace(THEIRS, id=8)),
    ],
)
def test_what_it_had_open_itself_goes_on_unless_it_is_over(
    own: Alert, kept: Sequence[Alert], goes_on: Alert | None
) -> None:
    standing = taken_over(Standing(open={("at_once", "eu"): own}), kept, START)
    assert list(standing.open.values()) == ([] if goes_on is None else [goes_on])


def test_what_another_could_not_keep_before_is_taken_up_once() -> None:
    standing = Standing(open={("at_once", "eu"): OURS})
    late = replace(alert("patient", "us"), id=9)
    found = adopted(standing, [THEIRS, late], START)
    assert found.open == {("at_once", "eu"): OURS, ("patient", "us"): late}
    assert found.calm.keys() == {("patient", "us")}


def test_a_standing_is_parted_by_rules_and_nothing_is_lost() -> None:
    key, other = ("at_once", "eu"), ("patient", "eu")
    standing = Standing({key: OURS}, {key: START, other: START}, {key: START})
    own, rest = parted(standing, {"at_once"})
    assert own == Standing({key: OURS}, {key: START}, {key: START})
    assert rest == Standing({}, {other: START}, {})
