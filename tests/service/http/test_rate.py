"""A source sends so many events a second, ten seconds' worth at once, and pays off its debts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.http.rate import BURST_SECONDS, Allowance, Allowances

_STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 500)), max_size=40)


@given(st.integers(1, 100), _STEPS)
def test_over_any_window_no_more_than_the_rate_a_burst_and_one_batch(
    per_second: int, steps: list[tuple[float, int]]
) -> None:
    allowance, now = Allowance.full(per_second, 0.0), 0.0
    taken: list[tuple[float, int]] = []
    for pause, events in steps:
        now += pause
        if not allowance.wait_seconds(now):
            allowance = allowance.spend(events, now)
            taken.append((now, events))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            window = taken[last][0] - taken[first][0]
            most = per_second * (window + BURST_SECONDS) + taken[last][1]
            assert sum(events for _, events in taken[first : last + 1]) <= most + 1e-6


@given(st.integers(1, 100), _STEPS)
def test_who_waits_as_long_as_told_passes(per_second: int, steps: list[tuple[float, int]]) -> None:
    allowance, now = Allowance.full(per_second, 0.0), 0.0
    for pause, events in steps:
        now += pause
        wait = allowance.wait_seconds(now)
        assert not allowance.wait_seconds(now + wait)
        now += wait
        allowance = allowance.spend(events, now)


def test_a_batch_larger_than_the_burst_passes_and_is_paid_off() -> None:
    allowance = Allowance.full(10, 0.0).spend(300, 0.0)
    assert allowance.wait_seconds(0.0) == 21
    assert allowance.wait_seconds(20.5) == 0


def test_what_was_not_kept_is_given_back_and_no_more() -> None:
    allowance = Allowance.full(10, 0.0)
    assert allowance.spend(300, 1.0).spend(-300, 1.0).left == allowance.left
    assert allowance.spend(-300, 1.0).left == allowance.left


def test_a_clock_that_goes_back_gives_nothing() -> None:
    allowance = Allowance.full(10, 100.0).spend(150, 100.0)
    assert allowance.spend(0, 50.0) == allowance


def test_sources_without_a_limit_never_wait_and_others_have_their_own() -> None:
    moments = [0.0]
    allowances = Allowances([("free", None), ("a", 1), ("b", 1)], lambda: moments[-1])
    for source in ("free", "a", "unknown"):
        allowances.spend(source, 30)
    assert [allowances.wait_seconds(one) for one in ("free", "a", "b", "unknown")] == [0, 21, 0, 0]
    moments.append(21.0)
    assert allowances.wait_seconds("a") == 0
