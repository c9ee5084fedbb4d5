"""The retry policy: what a delivery becomes after each outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.delivery import (
    Accepted,
    CredentialProblem,
    Deferred,
    History,
    Outcome,
    Refused,
    RetryPolicy,
    State,
    Suspect,
    Transition,
    Unknown,
)

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
POLICY = RetryPolicy()
FRESH = History(attempts=1, accepted_at=NOW)
ANY_OUTCOME: tuple[Outcome, ...] = (
    Accepted(),
    Refused("r"),
    Deferred("r"),
    Deferred("r", timedelta(minutes=5)),
    Suspect("r"),
    Unknown("r"),
    CredentialProblem("r"),
)
RETRIED = tuple(o for o in ANY_OUTCOME if not isinstance(o, Accepted | Refused))


@pytest.mark.parametrize(
    ("outcome", "transition"),
    [
        (Accepted(), Transition(State.DELIVERED)),
        (Accepted("note"), Transition(State.DELIVERED, reason="note")),
        (Refused("why"), Transition(State.DEAD, reason="why")),
        (Suspect("why"), Transition(State.PENDING, NOW, "why")),
        (Deferred("why"), Transition(State.PENDING, NOW + timedelta(seconds=0.5), "why")),
        (
            Deferred("why", timedelta(minutes=5)),
            Transition(State.PENDING, NOW + timedelta(minutes=5), "why"),
        ),
        (Unknown("why"), Transition(State.PENDING, NOW + timedelta(seconds=0.5), "why", NOW)),
        (
            CredentialProblem("why"),
            Transition(State.PENDING, NOW + timedelta(seconds=20), "why"),
        ),
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


@pytest.mark.parametrize("outcome", [o for o in RETRIED if not isinstance(o, CredentialProblem)])
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


def test_a_pause_that_would_end_after_48_hours_is_not_begun() -> None:
    unknown = NOW - timedelta(hours=48) + timedelta(minutes=4)
    history = History(2, NOW - timedelta(hours=50), unknown)
    late = Deferred("r", timedelta(minutes=5))
    assert POLICY.settle(late, history, NOW, 0).state is State.UNCERTAIN


def test_a_certain_failure_is_tried_again_at_any_age_within_the_horizon() -> None:
    history = History(500, NOW - timedelta(days=6, hours=23))
    assert POLICY.settle(Deferred("r"), history, NOW, 0.99).state is State.PENDING


@pytest.mark.parametrize("outcome", [Deferred("r"), Suspect("r")])
def test_past_the_horizon_a_delivery_is_dead_with_its_reason(outcome: Outcome) -> None:
    history = History(500, NOW - timedelta(days=7))
    transition = POLICY.settle(outcome, history, NOW, 0.5)
    assert (transition.state, transition.reason) == (State.DEAD, "r")


@given(days=st.integers(0, 1000), attempts=st.integers(1, 10**6), jitter=st.floats(0, 0.999))
def test_credentials_never_kill_a_delivery(days: int, attempts: int, jitter: float) -> None:
    history = History(attempts, NOW - timedelta(days=days))
    transition = POLICY.settle(CredentialProblem("r"), history, NOW, jitter)
    assert transition.state is State.PENDING
    assert transition.due_at is not None
    assert timedelta(seconds=15) <= transition.due_at - NOW <= timedelta(seconds=25)


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
        assert transition.state is not State.CLAIMED
