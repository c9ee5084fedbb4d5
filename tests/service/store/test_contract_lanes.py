"""What every store promises of lanes: what is held, probes, and lanes remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.lane import Condition
from conversion_relay.service.store.port import (
    PROBE_REST,
    ClaimedDelivery,
    LaneRecord,
    Settlement,
    Store,
)
from service.store.conftest import Engine
from service.store.examples import APP, LEASE, NOW, delivered, delivery, event, retried

SECOND = timedelta(seconds=1)
HELD = Transition(State.HELD, Cause.CREDENTIALS, reason="token refused")


def held(claim: ClaimedDelivery) -> Settlement:
    return Settlement(claim.id, claim.fence, HELD)


async def probed(store: Store, seconds: int = 0) -> list[str]:
    claims = await store.claim_probe("tiktok", LEASE, NOW + seconds * SECOND)
    return [claim.message_id for claim in claims]


async def hold(store: Store, *names: str) -> None:
    """Keep these events and hold their deliveries."""
    await store.append([event(name) for name in names])
    await store.settle([held(c) for c in await store.claim("tiktok", 100, LEASE, NOW)], NOW)


async def test_what_is_held_is_not_claimed_and_not_due(store: Store) -> None:
    await hold(store, "a")
    (record,) = await store.deliveries(["a"])
    assert (record.state, record.reason, record.settled_at) == (State.HELD, "token refused", NOW)
    assert await store.next_due("tiktok") is None
    assert await store.claim("tiktok", 10, LEASE, NOW + timedelta(days=30)) == ()


async def test_a_probe_is_what_was_kept_and_counts_no_attempt(store: Store) -> None:
    await hold(store, "a")
    (probe,) = await store.claim_probe("tiktok", LEASE, NOW + SECOND)
    assert (probe.message_id, probe.body, probe.attempts) == ("a", b'{"event_id":"a"}', 1)
    assert (probe.envelope, probe.accepted_at, probe.first_unknown_at) == ("web|PIXEL", NOW, None)
    assert (await store.deliveries(["a"]))[0].state is State.CLAIMED
    assert await store.settle([delivered(probe)], NOW + SECOND) == 1
    (record,) = await store.deliveries(["a"])
    assert (record.state, record.attempts) == (State.DELIVERED, 1)


async def test_a_probe_of_what_was_never_sent_has_no_attempt(store: Store) -> None:
    await store.append([event("a")])
    (probe,) = await store.claim_probe("tiktok", LEASE, NOW)
    assert probe.attempts == 0
    await store.settle([retried(probe, NOW)], NOW)
    (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
    assert claim.attempts == 1


async def test_a_probe_is_perhaps_arrived_then_longest_due_then_held(store: Store) -> None:
    app = [
        event(name, delivery(name, envelope=APP), received_at=NOW - age * SECOND)
        for name, age in (("longest", 9), ("long", 8))
    ]
    await store.append([*app, event("unknown", received_at=NOW - 20 * SECOND)])
    (unknown,) = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([retried(unknown, NOW, unknown_at=NOW)], NOW)
    await store.append([event("held", received_at=NOW - 30 * SECOND)])
    (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([held(claim)], NOW)
    rested = PROBE_REST.seconds
    taken = [await probed(store, rested) for _ in range(5)]
    assert taken == [["unknown"], ["longest"], ["long"], ["held"], []]


async def test_what_was_tried_in_vain_rests_while_there_are_others(store: Store) -> None:
    """One that the partner never answers must not stand for all the others."""
    await store.append([event("due"), event("unknown", received_at=NOW - SECOND)])
    (claim,) = await store.claim("tiktok", 1, LEASE, NOW)
    await store.settle([retried(claim, NOW, unknown_at=NOW)], NOW)
    assert await probed(store, PROBE_REST.seconds - 1) == ["due"]
    assert await probed(store, PROBE_REST.seconds - 1) == ["unknown"], "there is no other"


async def test_held_ones_take_turns(store: Store) -> None:
    await store.append([event("a"), event("b")])
    for claim in await store.claim("tiktok", 2, LEASE, NOW):
        await store.settle([held(claim)], NOW)
    taken = []
    for seconds in range(4):
        (claim,) = await store.claim_probe("tiktok", LEASE, NOW + seconds * SECOND)
        await store.settle([held(claim)], NOW + (seconds + 1) * SECOND)
        taken.append(claim.message_id)
    assert taken == ["a", "b", "a", "b"]


async def test_a_probe_is_of_its_destination_and_due(store: Store) -> None:
    later = event("later", received_at=NOW + SECOND)
    await store.append([later, event("other", delivery("other", destination="other"))])
    assert await probed(store) == []
    assert await store.claim_probe("nowhere", LEASE, NOW) == ()
    assert await probed(store, 1) == ["later"]


async def test_the_lease_and_fence_of_a_probe_are_those_of_a_claim(store: Store) -> None:
    await hold(store, "a")
    (late,) = await store.claim_probe("tiktok", LEASE, NOW)
    assert await store.next_due("tiktok") == NOW + LEASE
    assert await store.claim("tiktok", 10, LEASE, NOW + LEASE - SECOND) == ()
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW + LEASE)
    assert (claim.attempts, claim.first_unknown_at) == (2, NOW)
    assert claim.fence > late.fence
    assert await store.settle([held(late)], NOW + LEASE) == 0


async def test_release_lets_go_on_what_is_held_of_one_destination(store: Store) -> None:
    await hold(store, "a", "b")
    await store.append([event("o", delivery("o", destination="other"))])
    await store.settle([held(c) for c in await store.claim("other", 1, LEASE, NOW)], NOW)
    assert await store.release("tiktok", NOW + SECOND) == 2
    assert await store.release("tiktok", NOW + SECOND) == 0
    assert await store.next_due("tiktok") == NOW + SECOND
    claims = await store.claim("tiktok", 10, LEASE, NOW + SECOND)
    assert [(claim.message_id, claim.attempts) for claim in claims] == [("a", 2), ("b", 2)]
    assert (await store.deliveries(["o"]))[0].state is State.HELD


async def test_what_is_held_stays_held_over_a_restart(engine: Engine) -> None:
    store = await engine.open()
    await hold(store, "a", "b")
    await store.claim_probe("tiktok", LEASE, NOW)
    await store.close()
    store = await engine.open()
    assert (await store.deliveries(["b"]))[0].state is State.HELD
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW + LEASE)
    assert (claim.message_id, claim.first_unknown_at) == ("a", NOW)


async def test_a_record_says_when(store: Store) -> None:
    await store.append([event("a", received_at=NOW - SECOND), event("b")])
    (claim, _) = await store.claim("tiktok", 10, LEASE, NOW)
    await store.settle([delivered(claim)], NOW + SECOND)
    first, second = await store.deliveries(["a", "b"])
    assert (first.id, first.accepted_at, first.settled_at) == (
        claim.id,
        NOW - SECOND,
        NOW + SECOND,
    )
    assert (second.accepted_at, second.settled_at) == (NOW, None)


@pytest.mark.parametrize("condition", list(Condition))
async def test_lanes_are_remembered(engine: Engine, condition: Condition) -> None:
    store = await engine.open()
    assert await store.lanes() == ()
    first = LaneRecord("tiktok", "abc", Condition.FLOWING, None, None)
    other = LaneRecord("other", "def", Condition.OPEN, NOW, "it's away")
    last = replace(first, condition=condition, since=NOW + SECOND, reason="refused 😀")
    for lane in (first, other, last):
        await store.keep_lane(lane)
    assert set(await store.lanes()) == {other, last}
    await store.close()
    assert set(await (await engine.open()).lanes()) == {other, last}
