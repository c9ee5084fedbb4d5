"""Lanes: what an answer makes of them, and what they let pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Deferred,
    Outcome,
    Refused,
    Suspect,
    Throttled,
    Unknown,
)
from conversion_relay.core.lane import (
    Condition,
    Go,
    Lane,
    LanePolicy,
    Probe,
    Wait,
    answered,
    resumed,
    sent,
)
from conversion_relay.core.signal import Answer, Signal

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
POLICY = LanePolicy()
GOOD, BAD, DENIED, SLOW = Accepted(), Unknown("gone"), CredentialProblem("no"), Throttled("slow")
OUTCOMES: tuple[Outcome, ...] = (
    *(GOOD, BAD, DENIED, SLOW, Refused("x"), Suspect("x"), Companion("x"), Deferred("x")),
    Throttled("x", 300 * SECOND),
)


def after(
    lane: Lane, *outcomes: Outcome, now: datetime = NOW, jitter: float = 0.5, size: int = 1
) -> Lane:
    """The lane after one request for each outcome, of so many deliveries each."""
    for outcome in outcomes:
        lane = answered(lane, Answer([outcome] * size, now, now, jitter), POLICY)
    return lane


OPENED = after(Lane(), *[BAD] * 5)


@pytest.mark.parametrize(
    ("outcomes", "signal"),
    [
        ([GOOD], Signal.ALIVE),
        ([Refused("x"), Companion("x"), Companion("x")], Signal.ALIVE),
        ([Suspect("x"), Suspect("x")], Signal.ALIVE),
        ([BAD, BAD], Signal.FAILED),
        ([Deferred("x")], Signal.FAILED),
        ([SLOW], Signal.THROTTLED),
        ([DENIED], Signal.REFUSED),
    ],
)
def test_what_an_answer_tells_of_the_lane(outcomes: Sequence[Outcome], signal: Signal) -> None:
    assert Answer(outcomes, NOW, NOW, 0.5).signal is signal


def test_a_new_lane_flows() -> None:
    assert Lane().permit(NOW) == Go(1000)


def test_failures_in_a_row_open_the_breaker() -> None:
    shaken = after(Lane(), BAD, BAD, BAD, BAD)
    assert shaken.condition is Condition.FLOWING
    opened = after(shaken, BAD)
    assert (opened.condition, opened.since, opened.reason) == (Condition.OPEN, NOW, "gone")
    assert opened.permit(NOW) == Wait(NOW + 15 * SECOND)
    assert opened.permit(NOW + 15 * SECOND) == Probe()


def test_an_answer_between_failures_keeps_it_closed() -> None:
    for good in (GOOD, Refused("x"), Suspect("x")):
        lane = after(Lane(), *[BAD] * 4, good, *[BAD] * 4)
        assert lane.condition is Condition.FLOWING


def test_in_doubt_no_batch_is_risked() -> None:
    doubtful = after(Lane(), BAD, BAD, size=1000)
    assert doubtful.permit(NOW) == Probe()
    probed = sent(doubtful, POLICY, NOW, 0.5)
    assert probed.permit(NOW) == Wait(NOW + 4 * SECOND), "those before may hang"
    answer = Answer([GOOD], NOW, NOW + SECOND, 0.5)
    assert answered(probed, answer, POLICY).permit(NOW + 2 * SECOND) == Go(500), "doubt is over"
    assert after(doubtful, GOOD).permit(NOW + SECOND) == Go(500)


@given(jitter=st.floats(0, 0.999))
def test_probes_follow_each_other_within_ten_to_twenty_seconds(jitter: float) -> None:
    opened = after(Lane(), *[BAD] * 5, jitter=jitter)
    probed = sent(opened, POLICY, NOW + 30 * SECOND, jitter)
    for lane, start in ((opened, NOW), (probed, NOW + 30 * SECOND)):
        permit = lane.permit(start)
        assert isinstance(permit, Wait)
        assert 10 * SECOND <= permit.until - start < 20 * SECOND


def test_what_hung_for_long_before_it_failed_has_waited_enough() -> None:
    answer = Answer([BAD], NOW, NOW + 20 * SECOND, 0.5)
    opened = answered(after(Lane(), *[BAD] * 4), answer, POLICY)
    assert opened.condition is Condition.OPEN
    assert opened.permit(NOW + 20 * SECOND) == Probe()


def test_a_failed_probe_changes_only_the_reason() -> None:
    opened = OPENED
    probed = after(sent(opened, POLICY, NOW + 15 * SECOND, 0), Deferred("later"))
    probed_at = NOW + 15 * SECOND
    assert probed == replace(
        opened, reason="later", next_at=probed_at + 10 * SECOND, timed_at=probed_at
    )


def test_a_good_answer_lets_it_flow_again_carefully() -> None:
    lane = after(OPENED, GOOD, now=NOW + SECOND)
    assert (lane.condition, lane.since, lane.reason) == (Condition.FLOWING, NOW + SECOND, None)
    sizes: list[int] = []
    while not sizes or sizes[-1] < 1000:
        permit = lane.permit(NOW + 3 * SECOND)
        assert isinstance(permit, Go)
        sizes.append(permit.most)
        lane = after(lane, GOOD, size=permit.most, now=NOW + 2 * SECOND)
    assert sizes == [8, 64, 512, 1000]


def test_the_first_failure_after_a_probe_stops_its_batches_again() -> None:
    lane = after(OPENED, GOOD)
    assert after(lane, BAD, size=8).permit(NOW + SECOND) == Probe()
    assert after(lane, GOOD, BAD, size=8).permit(NOW + SECOND) != Probe()


def test_requests_shrink_with_failures_and_grow_with_what_was_proven() -> None:
    lane = after(Lane(), BAD, size=1000)
    assert lane.permit(NOW) == Go(500)
    assert after(lane, GOOD).permit(NOW) == Go(500), "one alone proves nothing of sizes"
    assert after(lane, BAD, GOOD).permit(NOW + SECOND) == Go(500)
    assert after(lane, GOOD, size=500).permit(NOW) == Go(510), "carefully, from what is safe"
    assert after(replace(Lane(), most=1), BAD).permit(NOW) == Go(1)


def test_a_link_that_is_too_slow_for_large_requests_is_used_well() -> None:
    """What takes longer than the time-out fails: here whatever has more than 300."""
    lane, sizes = Lane(), []
    for _ in range(60):
        permit = lane.permit(NOW + timedelta(hours=1))
        most = permit.most if isinstance(permit, Go) else 1
        lane = after(lane, GOOD if most <= 300 else BAD, size=most)
        sizes.append(most)
    late = sizes[10:]
    assert sum(size > 300 for size in late) <= len(late) / 10, "few attempts are lost"
    assert sum(size for size in late if size <= 300) / len(late) > 150, "and most of it is used"


def test_refused_credentials_hold_it_at_once() -> None:
    held = after(Lane(), DENIED)
    assert held.condition is Condition.HELD
    assert held.permit(NOW) == Wait(NOW + 20 * SECOND)
    probed = sent(held, POLICY, NOW + 20 * SECOND, 0.9)
    assert probed.permit(NOW + 39 * SECOND) == Wait(NOW + 40 * SECOND)
    assert after(probed, BAD, SLOW, DENIED).condition is Condition.HELD
    assert after(probed, GOOD).condition is Condition.FLOWING


def test_an_open_lane_whose_probe_is_denied_is_held() -> None:
    assert after(OPENED, DENIED).condition is Condition.HELD


def test_a_late_answer_says_nothing_of_a_lane_that_has_become_another() -> None:
    later = NOW + 60 * SECOND
    for stopped in (after(Lane(), DENIED, now=later), after(Lane(), SLOW, now=later)):
        for outcome in (GOOD, BAD, DENIED, SLOW):
            assert after(stopped, outcome, now=NOW) == stopped
    resumed_lane = after(after(Lane(), DENIED), GOOD, now=later)
    for outcome in (BAD, DENIED, SLOW):
        assert after(resumed_lane, outcome, now=NOW) == resumed_lane
    opened = after(Lane(), *[BAD] * 5, now=later)
    assert after(opened, GOOD, now=NOW).condition is Condition.FLOWING, (
        "but that it answers at all"
    )


def test_somebody_may_have_it_tried_at_once() -> None:
    held = after(Lane(), DENIED)
    assert resumed(held, NOW + SECOND).permit(NOW + SECOND) == Probe()
    assert resumed(Lane(), NOW) == Lane()


@pytest.mark.parametrize("outcomes", [[BAD] * 5, [DENIED], [SLOW], [Throttled("x", 60 * SECOND)]])
def test_a_clock_that_was_set_back_keeps_no_lane_waiting(outcomes: list[Outcome]) -> None:
    stopped = after(Lane(), *outcomes)
    assert isinstance(stopped.permit(NOW), Wait)
    earlier = NOW - timedelta(hours=2)
    assert stopped.permit(earlier) == Probe()
    assert sent(stopped, POLICY, earlier, 0).permit(earlier) != Probe(), "but probes keep pace"
    flowing = sent(replace(Lane(), per_second=0.2), POLICY, NOW, 0)
    assert flowing.permit(earlier) == Go(1000)


def test_the_partners_own_time_is_kept() -> None:
    lane = after(Lane(), Throttled("slow", 300 * SECOND))
    assert lane.condition is Condition.THROTTLED
    assert lane.permit(NOW + 299 * SECOND) == Wait(NOW + 300 * SECOND)
    assert after(Lane(), SLOW).permit(NOW) == Wait(NOW + 15 * SECOND)
    soon = after(Lane(), Throttled("slow", SECOND))
    assert soon.permit(NOW) == Wait(NOW + 15 * SECOND), "no more often than probes go"
    assert after(lane, Throttled("slow", 30 * SECOND)).permit(NOW) == lane.permit(NOW)


def _run(lane: Lane, requests: int, pace: timedelta) -> Lane:
    for number in range(requests):
        lane = sent(lane, POLICY, NOW + number * pace, 0.5)
    return lane


def test_throttling_halves_the_rate_there_was() -> None:
    busy = _run(Lane(), 150, SECOND / 100)  # a whole second at 100, and half of the next
    slowed = after(busy, SLOW, now=NOW + 1.5 * SECOND)
    assert slowed.per_second == 50
    again = after(replace(slowed, condition=Condition.FLOWING, since=NOW), SLOW)
    assert again.per_second == 25
    idle = after(replace(again, condition=Condition.FLOWING, count=0, last_rate=0), SLOW)
    assert idle.per_second == POLICY.least_per_second


def test_good_answers_make_it_faster_bit_by_bit() -> None:
    slow = replace(Lane(), per_second=4.0)
    assert after(slow, GOOD).per_second == 4.25
    assert after(replace(slow, per_second=0.2), GOOD).per_second == 1.2
    assert after(Lane(), GOOD).per_second == POLICY.requests_per_second


@given(st.lists(st.sampled_from(OUTCOMES), max_size=12), st.floats(0.2, 900))
def test_requests_keep_their_distance(outcomes: list[Outcome], per_second: float) -> None:
    lane, now = replace(Lane(), per_second=per_second), NOW
    times: list[datetime] = []
    for outcome in outcomes:
        permit = lane.permit(now)
        if isinstance(permit, Wait):
            assert permit.until > now
            now = permit.until
        lane = sent(lane, POLICY, now, 0.5)
        times.append(now)
        lane = answered(lane, Answer([outcome], now, now, 0.5), POLICY)
        assert POLICY.least_per_second <= lane.per_second <= POLICY.requests_per_second
        assert 1 <= lane.most <= POLICY.batch
        assert (lane.condition is Condition.FLOWING) == (lane.reason is None)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= SECOND / 900 - timedelta(microseconds=1) for gap in gaps)
