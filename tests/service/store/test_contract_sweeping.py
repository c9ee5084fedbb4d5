"""What is kept for how long, shown through the port alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    NewEvent,
    Requeue,
    Retention,
    Selection,
    Settlement,
    Store,
    Swept,
)
from service.store.conftest import Engine
from service.store.examples import LEASE, NOW, delivered, delivery, event, retried

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
KEPT = Retention()
ENDS = {
    State.DELIVERED: Transition(State.DELIVERED, Cause.ACCEPTED),
    State.DEAD: Transition(State.DEAD, Cause.REFUSED, None, "no"),
    State.UNCERTAIN: Transition(State.UNCERTAIN, Cause.PAST_RECOGNITION, None, "may be there"),
    State.HELD: Transition(State.HELD, Cause.CREDENTIALS, None, "token"),
    State.PENDING: Transition(State.PENDING, Cause.DEFERRED, NOW, "busy"),
}


async def swept(store: Store, now: datetime, retention: Retention = KEPT) -> Swept:
    """Everything that is to be done at that time."""
    done = await store.sweep(retention, now)
    while not done.is_done:
        done = done.then(await store.sweep(retention, now))
    return done


def without(message_id: str, disposition: Disposition) -> NewEvent:
    """An event with no delivery."""
    return replace(event(message_id), disposition=disposition, deliveries=())


async def end(store: Store, state: State, now: datetime = NOW) -> None:
    """Bring the one delivery there is to its state."""
    (claim,) = await store.claim("tiktok", 10, LEASE, now)
    if state is not State.CLAIMED:
        await store.settle([Settlement(claim.id, claim.fence, ENDS[state])], now)


async def claims(store: Store, now: datetime) -> dict[str, ClaimedDelivery]:
    return {one.message_id: one for one in await store.claim("tiktok", 1000, LEASE, now)}


async def test_an_empty_store_needs_no_sweeping(store: Store) -> None:
    assert await store.sweep(KEPT, NOW) == Swept()


@pytest.mark.parametrize(
    ("disposition", "kept_for"),
    [
        (Disposition.UNMATCHED, DAY),
        (Disposition.REJECTED, 7 * DAY),
        (Disposition.QUARANTINED, 7 * DAY),
    ],
)
async def test_an_event_without_deliveries_goes_after_its_time(
    store: Store, disposition: Disposition, kept_for: timedelta
) -> None:
    await store.append([without("a", disposition)])
    assert (await swept(store, NOW + kept_for - MOMENT)).events == 0
    assert (await store.totals()).events == {disposition: 1}
    assert (await swept(store, NOW + kept_for)).events == 1
    assert (await store.totals()).events == {}


FINISHED = [
    (State.DELIVERED, 7 * DAY),
    (State.DEAD, 32 * DAY),  # it ended two days after it was received
    (State.UNCERTAIN, 32 * DAY),
]


@pytest.mark.parametrize(("state", "kept_for"), FINISHED)
async def test_an_event_with_a_finished_delivery_stays_for_its_time(
    store: Store, state: State, kept_for: timedelta
) -> None:
    await store.append([event("a")])
    await end(store, state, NOW + 2 * DAY)
    assert (await swept(store, NOW + kept_for - MOMENT)).events == 0
    assert (await store.totals()).deliveries == {("tiktok", state): 1}


@pytest.mark.parametrize(("state", "kept_for"), FINISHED)
async def test_an_event_with_a_finished_delivery_goes_after_its_time(
    store: Store, state: State, kept_for: timedelta
) -> None:
    await store.append([event("a")])
    await end(store, state, NOW + 2 * DAY)
    assert (await swept(store, NOW + kept_for)).events == 1
    totals = await store.totals()
    assert (totals.events, totals.deliveries) == ({}, {})
    assert await store.deliveries(["a"]) == ()


@pytest.mark.parametrize("state", [State.PENDING, State.CLAIMED, State.HELD])
async def test_what_is_not_finished_is_never_removed(store: Store, state: State) -> None:
    await store.append([event("a")])
    await end(store, state)
    assert (await swept(store, NOW + 1000 * DAY)).events == 0
    (record,) = await store.deliveries(["a"])
    assert record.state is state


async def test_what_was_discarded_can_be_replayed_as_long_as_a_dead_letter(store: Store) -> None:
    await store.append([event("a")])
    await end(store, State.DEAD)
    (kept,) = (await store.select(Selection(), 0, 10)).events[0].deliveries
    await store.discard([kept.record.id], "no use", NOW + 8 * DAY)
    assert (await swept(store, NOW + 38 * DAY - MOMENT)).events == 0
    assert (await swept(store, NOW + 39 * DAY)).events == 1


async def test_an_unmatched_event_that_was_sent_later_is_kept_like_a_planned_one(
    store: Store,
) -> None:
    await store.append([without("a", Disposition.UNMATCHED)])
    page = await store.select(Selection(), 0, 10)
    again = Requeue(page.events[0].id, None, delivery("a"))
    assert await store.requeue([again], NOW) == (True,)
    await end(store, State.DELIVERED)
    assert (await swept(store, NOW + 7 * DAY - MOMENT)).events == 0
    assert (await swept(store, NOW + 8 * DAY)).events == 1


async def test_one_unfinished_delivery_keeps_the_whole_event(store: Store) -> None:
    await store.append([event("a", delivery("a"), delivery("a", destination="other"))])
    await end(store, State.DELIVERED)
    assert (await swept(store, NOW + 100 * DAY)).events == 0
    assert len(await store.deliveries(["a"])) == 2


async def test_it_goes_once_what_held_it_back_has_ended(store: Store) -> None:
    await store.append([event("a")])
    assert (await swept(store, NOW + 10 * DAY)).events == 0
    await end(store, State.DELIVERED, NOW + 10 * DAY)
    assert (await swept(store, NOW + 11 * DAY)).events == 1


async def test_the_neighbours_of_what_is_kept_go(store: Store) -> None:
    names = [f"m{number}" for number in range(700)]
    await store.append([event(name) for name in names])
    found = await claims(store, NOW)
    stay = {name: one for name, one in found.items() if int(name[1:]) % 100 == 7}
    await store.settle([delivered(one) for name, one in found.items() if name not in stay], NOW)
    await store.settle([retried(one, NOW) for one in stay.values()], NOW)
    assert (await swept(store, NOW + 8 * DAY)).events == 693
    assert (await claims(store, NOW + 8 * DAY)).keys() == stay.keys()


async def test_many_of_the_same_moment_all_go(store: Store) -> None:
    await store.append([without(f"m{n}", Disposition.UNMATCHED) for n in range(1_700)])
    first = await store.sweep(KEPT, NOW + DAY)
    assert not first.is_done
    assert first.events < 1_700
    assert first.events + (await swept(store, NOW + DAY)).events == 1_700


async def test_what_holds_many_back_does_not_hide_what_may_go(store: Store) -> None:
    held = [event(f"held {n}", received_at=NOW) for n in range(1_200)]
    await store.append([*held, event("done", delivery("done", destination="other"))])
    (claim,) = await store.claim("other", 10, LEASE, NOW)
    await store.settle([delivered(claim)], NOW)
    assert (await swept(store, NOW + 8 * DAY)).events == 1
    await store.append([without("late", Disposition.REJECTED)])
    assert (await swept(store, NOW + 8 * DAY)).events == 1


async def test_the_other_times_can_be_chosen(store: Store) -> None:
    short = Retention(*(4 * [timedelta(hours=2)]))
    await store.append([event("a"), without("b", Disposition.UNMATCHED)])
    await end(store, State.DEAD)
    assert (await swept(store, NOW + timedelta(hours=1), short)).events == 0
    assert (await swept(store, NOW + timedelta(hours=2), short)).events == 2


async def test_a_copy_of_a_removed_event_is_known_until_the_ledger_forgets_it(
    engine: Engine,
) -> None:
    store = await engine.open()
    await store.append([without("a", Disposition.UNMATCHED)])
    for day in range(14):
        now = NOW + day * DAY
        await swept(store, now)
        assert (await store.append([without("a", Disposition.UNMATCHED)])).accepted == 0, day
        await store.append([without(f"of day {day}", Disposition.UNMATCHED)])
        if day % 5 == 4:
            await store.close()
            store = await engine.open()
    forgotten = 0
    for day in range(14, 40):
        forgotten += (await swept(store, NOW + day * DAY)).ledger_entries
    assert forgotten == 15
    assert (await store.append([without("a", Disposition.UNMATCHED)])).accepted == 1


async def test_a_copy_is_known_for_the_ledgers_retention_whenever_it_came(store: Store) -> None:
    for day in range(46):
        await swept(store, NOW + day * DAY)
        names = [f"of day {one}" for one in range(max(0, day - 13), day)]
        copies = [without(name, Disposition.UNMATCHED) for name in names]
        assert (await store.append(copies)).accepted == 0, day
        await store.append([without(f"of day {day}", Disposition.UNMATCHED)])


async def test_new_events_are_kept_while_old_ones_go(store: Store) -> None:
    await store.append([without(f"m{n}", Disposition.UNMATCHED) for n in range(1_200)])
    await store.sweep(KEPT, NOW + DAY)
    await store.append([replace(event("new"), received_at=NOW + DAY)])
    await swept(store, NOW + DAY)
    assert (await claims(store, NOW + DAY)).keys() == {"new"}
    assert (await store.totals()).events == {Disposition.PLANNED: 1}


async def test_a_clock_that_is_set_back_keeps_nothing_waiting(store: Store) -> None:
    """While the service runs: at the start the store looks itself."""
    await store.append([event(f"m-{number}") for number in range(1_200)])
    ahead = NOW + timedelta(hours=2)
    claims = await store.claim("tiktok", 1_200, LEASE, NOW)
    await store.settle([retried(claim, ahead, ahead) for claim in claims], NOW)
    steps = 1
    while not (await store.sweep(Retention(), NOW)).is_done:
        steps += 1
    assert steps > 2, "a step is short"
    again = await store.claim("tiktok", 1_200, LEASE, NOW)
    assert len(again) == 1_200
    assert {claim.first_unknown_at for claim in again} == {NOW}
