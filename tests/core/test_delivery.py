"""The retry policy: what a delivery becomes after each outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.delivery import (
    LIFE,
    Accepted,
    Cause,
    Companion,
    CredentialProblem,
    Deferred,
    History,
    Outcome,
    Refused,
    RetryPolicy,
    State,
    Suspect,
    Throttled,
    Transition,
    Unknown,
    states_before,
)

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
POLICY = RetryPolicy()
FRESH = History(attempts=1, accepted_at=NOW)
ANY_OUTCOME: tuple[Outcome, ...] = (
    Accepted(),
    Refused("r"),
    Deferred("r"),
    Throttled("r", timedelta(minutes=5)),
    Throttled("r"),
    Suspect("r"),
    Companion("r"),
    Unknown("r"),
    CredentialProblem("r"),
)
RETRIED = tuple(
    o for o in ANY_OUTCOME if not isinstance(o, Accepted | Refused | CredentialProblem)
)
HALF_A_SECOND = NOW + timedelta(seconds=0.5)


@pytest.mark.parametrize(
    ("outcome", "transition"),
    [
        (Accepted(), Transition(State.DELIVERED, Cause.ACCEPTED)),
        (Accepted("note"), Transition(State.DELIVERED, Cause.ACCEPTED, reason="note")),
        (Refused("why"), Transition(State.DEAD, Cause.REFUSED, reason="why")),
        (Suspect("why"), Transition(State.PENDING, Cause.SUSPECTED, NOW, "why")),
        (Companion("why"), Transition(State.PENDING, Cause.SUSPECTED, NOW, "why")),
        (Deferred("why"), Transition(State.PENDING, Cause.DEFERRED, HALF_A_SECOND, "why")),
        (Throttled("why"), Transition(State.PENDING, Cause.DEFERRED, HALF_A_SECOND, "why")),
        (Unknown("why"), Transition(State.PENDING, Cause.UNKNOWN, HALF_A_SECOND, "why", NOW)),
        (CredentialProblem("why"), Transition(State.HELD, Cause.CREDENTIALS, reason="why")),
    ],
)
def test_each_outcome_of_a_first_attempt(outcome: Outcome, transition: Transition) -> None:
    assert POLICY.settle(outcome, FRESH, NOW, 0.5) == transition


@pytest.mark.parametrize("outcome", RETRIED)
def test_a_copy_is_sent_within_48_hours_of_an_unknown_outcome(outcome: Outcome) -> None:
    history = History(9, NOW - timedelta(hours=40), NOW - timedelta(hours=40))
    transition = POLICY.settle(outcome, history, NOW, 0.5)
    assert transition.state is State.PENDING
    assert transition.first_unknown_at == history.first_unknown_at


@pytest.mark.parametrize("outcome", RETRIED)
def test_no_copy_is_sent_48_hours_after_an_unknown_outcome(outcome: Outcome) -> None:
    history = History(9, NOW - timedelta(hours=50), NOW - timedelta(hours=48))
    transition = POLICY.settle(outcome, history, NOW, 0.5)
    assert transition.state is State.UNCERTAIN
    assert transition.due_at is None
    assert transition.reason == "r"


def test_the_48_hours_count_from_the_first_unknown_outcome() -> None:
    history = History(2, NOW - timedelta(hours=50), NOW - timedelta(hours=47))
    assert POLICY.settle(Unknown("r"), history, NOW, 0).first_unknown_at == NOW - timedelta(
        hours=47
    )


def test_the_48_hours_count_from_the_beginning_of_the_send() -> None:
    """The machine may have slept in the middle of it."""
    history = History(1, NOW - timedelta(hours=50), sent_at=NOW - timedelta(hours=49))
    transition = POLICY.settle(Unknown("r"), history, NOW, 0)
    assert transition.state is State.UNCERTAIN
    assert transition.first_unknown_at == history.sent_at


def test_a_pause_that_would_end_after_48_hours_is_not_begun() -> None:
    unknown = NOW - timedelta(hours=48) + timedelta(seconds=10)
    history = History(20, NOW - timedelta(hours=50), unknown)
    assert POLICY.settle(Deferred("r"), history, NOW, 0.9).state is State.UNCERTAIN


def test_a_certain_failure_is_tried_again_at_any_age_within_the_horizon() -> None:
    history = History(500, NOW - timedelta(days=6, hours=23))
    assert POLICY.settle(Deferred("r"), history, NOW, 0.99).state is State.PENDING


@pytest.mark.parametrize("outcome", [Deferred("r"), Suspect("r")])
def test_past_the_horizon_a_delivery_is_dead_with_its_reason(outcome: Outcome) -> None:
    history = History(500, NOW - timedelta(days=7))
    transition = POLICY.settle(outcome, history, NOW, 0.5)
    assert (transition.state, transition.reason) == (State.DEAD, "r")


@pytest.mark.parametrize("attempts", [0, 1, 2])
def test_past_the_horizon_it_still_gets_its_chances(attempts: int) -> None:
    history = History(attempts, NOW - timedelta(days=30))
    assert POLICY.settle(Deferred("r"), history, NOW, 0.5).state is State.PENDING
    tried = History(3, NOW - timedelta(days=30))
    assert POLICY.settle(Deferred("r"), tried, NOW, 0.5).cause is Cause.PAST_HORIZON


@given(days=st.integers(0, 1000), attempts=st.integers(1, 10**6), jitter=st.floats(0, 0.999))
def test_credentials_never_kill_a_delivery(days: int, attempts: int, jitter: float) -> None:
    history = History(attempts, NOW - timedelta(days=days), NOW - timedelta(days=days) / 2)
    transition = POLICY.settle(CredentialProblem("r"), history, NOW, jitter)
    assert transition.state is State.HELD
    assert transition.first_unknown_at == history.first_unknown_at


def test_every_cause_and_every_state_is_in_the_table() -> None:
    assert {cause for _, cause in LIFE} == set(Cause)
    assert {state for state, _ in LIFE} | set(LIFE.values()) == {None, *State}


def test_what_was_delivered_is_never_moved_again() -> None:
    assert not [cause for state, cause in LIFE if state is State.DELIVERED]
    assert State.DELIVERED not in states_before(Cause.REPLAYED)


def test_nothing_ends_for_good_but_by_its_cause() -> None:
    ends = {cause for (_, cause), after in LIFE.items() if after in {State.DEAD, State.SUPPRESSED}}
    assert ends == {Cause.REFUSED, Cause.PAST_HORIZON, Cause.UNREADABLE, Cause.DISCARDED}


@given(attempts=st.integers(1, 10**6), jitter=st.floats(0, 0.999))
def test_pauses_double_up_to_the_cap(attempts: int, jitter: float) -> None:
    due_at = POLICY.settle(Deferred("r"), History(attempts, NOW), NOW, jitter).due_at
    assert due_at is not None
    bound = min(timedelta(seconds=30), timedelta(seconds=2 ** min(attempts - 1, 10)))
    assert timedelta() <= due_at - NOW <= bound


@given(
    outcome=st.sampled_from(ANY_OUTCOME),
    attempts=st.integers(1, 1000),
    age=st.timedeltas(timedelta(), timedelta(days=20)),
    jitter=st.floats(0, 0.999),
)
def test_only_a_pending_delivery_is_due(
    outcome: Outcome, attempts: int, age: timedelta, jitter: float
) -> None:
    for unknown in (None, NOW - age / 2):
        transition = POLICY.settle(outcome, History(attempts, NOW - age, unknown), NOW, jitter)
        assert (transition.due_at is not None) == (transition.state is State.PENDING)
        assert LIFE[State.CLAIMED, transition.cause] is transition.state
