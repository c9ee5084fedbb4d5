"""What every store promises of the ends of claims, shown through the port alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from conversion_relay.core.delivery import LIFE, Cause, State, Transition
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Settlement,
    Store,
)
from service.store.examples import LEASE, NOW, delivered, event, retried

SECOND = timedelta(seconds=1)


async def only_claim(store: Store) -> ClaimedDelivery:
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    return claim


async def test_a_lease_that_ran_out_counts_as_an_unknown_outcome(store: Store) -> None:
    await store.append([event("a")])
    first = await only_claim(store)
    assert await store.claim("tiktok", 10, LEASE, NOW + LEASE - SECOND) == ()
    (second,) = await store.claim("tiktok", 10, LEASE, NOW + LEASE)
    assert (second.id, second.attempts, second.first_unknown_at) == (first.id, 2, NOW)
    assert second.fence > first.fence
    (third,) = await store.claim("tiktok", 10, LEASE, NOW + 2 * LEASE)
    assert (third.attempts, third.first_unknown_at) == (3, NOW)


async def test_a_late_settlement_changes_nothing(store: Store) -> None:
    await store.append([event("a")])
    late = await only_claim(store)
    (current,) = await store.claim("tiktok", 10, LEASE, NOW + LEASE)
    assert await store.settle([delivered(late)], NOW + LEASE) == 0
    assert (await store.deliveries(["a"]))[0].state is State.CLAIMED
    assert await store.settle([delivered(current), delivered(late)], NOW + LEASE) == 1


async def test_a_settlement_counts_once(store: Store) -> None:
    await store.append([event("a")])
    claim = await only_claim(store)
    assert await store.settle([delivered(claim), delivered(claim)], NOW) == 1
    assert await store.settle([retried(claim, NOW)], NOW) == 0
    assert await store.settle([], NOW) == 0
    assert (await store.deliveries(["a"]))[0].state is State.DELIVERED


@pytest.mark.parametrize(
    "cause",
    [
        Cause.ACCEPTED,
        Cause.REFUSED,
        Cause.PAST_HORIZON,
        Cause.PAST_RECOGNITION,
        Cause.UNREADABLE,
    ],
)
async def test_a_final_state_is_final(store: Store, cause: Cause) -> None:
    state = LIFE[State.CLAIMED, cause]
    await store.append([event("a")])
    claim = await only_claim(store)
    transition = Transition(state, cause, reason="said so")
    assert await store.settle([Settlement(claim.id, claim.fence, transition)], NOW) == 1
    (record,) = await store.deliveries(["a"])
    assert (record.state, record.reason, record.attempts) == (state, "said so", 1)
    assert await store.claim("tiktok", 10, LEASE, NOW + timedelta(days=30)) == ()
    assert await store.next_due("tiktok") is None
    assert (await store.totals()).deliveries == {("tiktok", state): 1}


async def test_a_retry_is_due_when_it_was_said_to_be(store: Store) -> None:
    await store.append([event("a")])
    due_at = NOW + 5 * SECOND
    assert await store.settle([retried(await only_claim(store), due_at)], NOW) == 1
    (record,) = await store.deliveries(["a"])
    assert (record.state, record.reason) == (State.PENDING, "busy")
    assert await store.claim("tiktok", 10, LEASE, due_at - SECOND) == ()
    (claim,) = await store.claim("tiktok", 10, LEASE, due_at)
    assert (claim.attempts, claim.first_unknown_at) == (2, None)


async def test_the_first_unknown_outcome_is_kept_for_good(store: Store) -> None:
    await store.append([event("a")])
    first, later = NOW + SECOND, NOW + LEASE
    await store.settle([retried(await only_claim(store), NOW, unknown_at=first)], first)
    claim = await only_claim(store)
    assert claim.first_unknown_at == first
    await store.settle([retried(claim, NOW)], first)
    claim = await only_claim(store)
    assert claim.first_unknown_at == first
    await store.settle([retried(claim, NOW, unknown_at=later)], later)
    assert (await only_claim(store)).first_unknown_at == first


async def test_an_unknown_outcome_does_not_lie_ahead(store: Store) -> None:
    """The clock was set back while the request was on its way."""
    await store.append([event("a")])
    ahead = NOW + timedelta(days=3)
    await store.settle([retried(await only_claim(store), NOW, unknown_at=ahead)], NOW)
    assert (await only_claim(store)).first_unknown_at == NOW


@pytest.mark.parametrize(
    "transition",
    [
        Transition(State.CLAIMED, Cause.CLAIMED),
        Transition(State.CLAIMED, Cause.CLAIMED, NOW),
        Transition(State.PENDING, Cause.DEFERRED),
        Transition(State.DEAD, Cause.REFUSED, NOW),
        Transition(State.HELD, Cause.CREDENTIALS, NOW),
        Transition(State.HELD, Cause.REFUSED),
        Transition(State.DEAD, Cause.ACCEPTED),
        Transition(State.SUPPRESSED, Cause.DISCARDED),
        Transition(State.PENDING, Cause.RESUMED, NOW),
    ],
)
async def test_what_is_no_transition_is_a_fault_of_the_caller(
    store: Store, transition: Transition
) -> None:
    await store.append([event("a")])
    claim = await only_claim(store)
    with pytest.raises(ValueError, match="no transition"):
        await store.settle([Settlement(claim.id, claim.fence, transition)], NOW)
    assert (await store.deliveries(["a"]))[0].state is State.CLAIMED
