"""The sums of a report: whatever it is grouped by, the whole is the sum of its parts."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from conversion_relay.core.delivery import State
from conversion_relay.service.report.report import Amount, Asked, Fate, Report, total
from conversion_relay.service.store.history import OutcomeCount
from support.past import MORNING, NIGHT, ON_TIME, outcome

ASKED = Asked(NIGHT, MORNING, MORNING, ON_TIME, timedelta(minutes=5))
NAMES = some.sampled_from(["a", "b", "ViewContent", "=1+1"])
LATE = some.sampled_from([*ASKED.bounds, None])


def report(*outcomes: OutcomeCount) -> Report:
    """A report on nothing but these."""
    return Report(ASKED, NIGHT, outcomes, (), (), (), (), (), "1")


@some.composite
def outcomes(draw: some.DrawFn) -> OutcomeCount:
    state = draw(some.sampled_from(State))
    currency = draw(some.sampled_from([None, "EUR", "JPY"]))
    delivered = state is State.DELIVERED
    return OutcomeCount(
        source=draw(NAMES),
        destination=draw(NAMES),
        mapping=draw(NAMES),
        event_name=draw(NAMES),
        state=state,
        late=draw(LATE) if delivered else None,
        currency=currency,
        count=draw(some.integers(1, 10**6)),
        value_micros=0 if currency is None else draw(some.integers(0, 10**15)),
        longest_seconds=draw(some.floats(0, 10**6)) if delivered else 0.0,
    )


LISTS = some.lists(outcomes(), max_size=12)
KEYS = some.sampled_from(["source", "destination", "mapping", "event_name"])


@given(LISTS, KEYS)
def test_the_whole_is_the_sum_of_its_groups(found: list[OutcomeCount], key: str) -> None:
    whole = report(*found)
    groups = [figures for _, figures in whole.by(lambda one: str(getattr(one, key)))]
    for fate in Fate:
        assert total(one.of(fate) for one in groups) == whole.figures.of(fate)
    assert total(one.received for one in groups) == whole.figures.received
    longest = max((one.longest_seconds for one in groups), default=0.0)
    assert longest == whole.figures.longest_seconds


@given(LISTS)
def test_each_conversion_has_one_fate(found: list[OutcomeCount]) -> None:
    figures = report(*found).figures
    assert figures.received.count == sum(one.count for one in found)
    assert total(figures.of(fate) for fate in Fate) == figures.received


@given(LISTS)
def test_currencies_stay_apart(found: list[OutcomeCount]) -> None:
    expected = Counter[str]()
    for one in found:
        if one.currency is not None:
            expected[one.currency] += one.value_micros
    assert dict(report(*found).figures.received.micros) == dict(expected)


@given(LISTS)
def test_the_classes_of_lateness_are_the_late_ones(found: list[OutcomeCount]) -> None:
    whole = report(*found)
    assert total(amount for _, amount in whole.lateness()) == whole.figures.of(Fate.LATE)
    bounds = [bound for bound, _ in whole.lateness()]
    assert bounds == [bound for bound in (*ASKED.bounds[1:], None) if bound in bounds]


@pytest.mark.parametrize(
    ("state", "late", "fate"),
    [
        (State.DELIVERED, ON_TIME, Fate.ON_TIME),
        (State.DELIVERED, timedelta(minutes=15), Fate.LATE),
        (State.DELIVERED, None, Fate.LATE),
        (State.PENDING, None, Fate.WAITING),
        (State.CLAIMED, None, Fate.WAITING),
        (State.HELD, None, Fate.WAITING),
        (State.UNCERTAIN, None, Fate.UNCERTAIN),
        (State.DEAD, None, Fate.DEAD),
        (State.SUPPRESSED, None, Fate.SUPPRESSED),
    ],
)
def test_fates(state: State, late: timedelta | None, fate: Fate) -> None:
    one = outcome("Search", 3, late, state)
    assert report(one).fate(one) is fate
    assert report(one).figures.fates == {fate: Amount(3)}


def test_a_longer_time_that_is_on_time_has_fewer_classes() -> None:
    asked = Asked(NIGHT, MORNING, MORNING, timedelta(hours=2), timedelta(minutes=5))
    hours = [bound / timedelta(hours=1) for bound in asked.bounds]
    assert hours == [2, 3, 6, 12, 24, 48]


def test_groups_come_with_the_most_received_first() -> None:
    found = report(outcome("a", 2), outcome("c", 5), outcome("b", 2))
    assert [name for name, _ in found.by(lambda one: one.event_name)] == ["c", "a", "b"]
