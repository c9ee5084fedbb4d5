"""What every store promises of looking through what is kept, sending it again, discarding it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.store.port import (
    Disposition,
    EventPage,
    KeptEvent,
    Requeue,
    Selection,
    Settlement,
    Store,
    kept_event_id,
)
from service.store.examples import APP, LEASE, NOW, WEB, delivery, event, retried

HOUR = timedelta(hours=1)
EVERY = Selection()
CAUSES = {
    State.DELIVERED: Cause.ACCEPTED,
    State.PENDING: Cause.DEFERRED,
    State.DEAD: Cause.REFUSED,
    State.HELD: Cause.CREDENTIALS,
    State.UNCERTAIN: Cause.PAST_RECOGNITION,
}
DEAD = Selection(states=frozenset({State.DEAD}))


async def end(store: Store, **ends: State) -> None:
    """Ends deliveries by their messageIds; what is not named stays pending."""
    claims = await store.claim("tiktok", 100, LEASE, NOW)
    settlements = []
    for claim in claims:
        state = ends.get(claim.message_id, State.PENDING)
        due = NOW if state is State.PENDING else None
        unknown = NOW - HOUR if state in {State.UNCERTAIN, State.HELD} else None
        transition = Transition(state, CAUSES[state], due, "why", unknown)
        settlements.append(Settlement(claim.id, claim.fence, transition))
    await store.settle(settlements, NOW)


async def selected(store: Store, selection: Selection) -> list[KeptEvent]:
    """All of them, over as many pages as it takes."""
    found: list[KeptEvent] = []
    after: int | None = 0
    while after is not None:
        page = await store.select(selection, after, 2)
        found += page.events
        assert after is not None
        assert page.after is None or page.after > after
        after = page.after
    return found


def names(events: Sequence[KeptEvent]) -> list[str]:
    return [one.message_id for one in events]


async def only(store: Store, selection: Selection = EVERY) -> KeptEvent:
    (found,) = await selected(store, selection)
    return found


def again(found: KeptEvent, planned: PlannedDelivery | None = None) -> Requeue:
    """The event's only delivery once more."""
    (kept,) = found.deliveries
    return Requeue(found.id, kept.record, planned)


async def test_an_empty_store_has_one_empty_page(store: Store) -> None:
    assert await store.select(EVERY, 0, 10) == EventPage((), None, 1.0)


async def test_a_kept_event_comes_back_whole(store: Store) -> None:
    await store.append([event("a", original=b'{"type":"track","n":1}'), event("b")])
    await end(store, a=State.UNCERTAIN)
    found = (await selected(store, EVERY))[0]
    (kept,) = found.deliveries
    assert (found.source, found.message_id, found.type) == ("default", "a", "track")
    assert (found.received_at, found.disposition) == (NOW, Disposition.PLANNED)
    assert found.original == b'{"type":"track","n":1}'
    assert (kept.envelope, kept.event_id, kept.first_unknown_at) == (WEB, "a", NOW - HOUR)
    assert (kept.record.state, kept.record.reason) == (State.UNCERTAIN, "why")
    assert (kept.record.attempts, kept.record.settled_at) == (1, NOW)


async def test_notes_and_reasons_come_back(store: Store) -> None:
    note = Note("tiktok", "Order Completed", "value", "must be a number")
    rejected = replace(
        event("r"), disposition=Disposition.REJECTED, deliveries=(), rejections=(note,)
    )
    no_event = replace(
        event("q"), disposition=Disposition.QUARANTINED, deliveries=(), reason="no JSON"
    )
    await store.append([rejected, no_event])
    first, second = await selected(store, EVERY)
    assert (first.rejections, first.deliveries) == ((note,), ())
    assert (second.reason, second.disposition) == ("no JSON", Disposition.QUARANTINED)


async def test_pages_come_in_order_and_say_how_far_they_are(store: Store) -> None:
    await store.append([event(f"m-{n}") for n in range(5)])
    first = await store.select(EVERY, 0, 2)
    assert first.after is not None
    second = await store.select(EVERY, first.after, 2)
    assert second.after is not None
    last = await store.select(EVERY, second.after, 2)
    assert names([*first.events, *second.events, *last.events]) == [f"m-{n}" for n in range(5)]
    assert (first.share, second.share, last.share, last.after) == (0.4, 0.8, 1.0, None)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (DEAD, ["dead"]),
        (Selection(states=frozenset({State.DEAD, State.HELD})), ["dead", "held"]),
        (Selection(dispositions=frozenset({Disposition.UNMATCHED})), ["unmatched"]),
        (replace(DEAD, dispositions=frozenset({Disposition.UNMATCHED})), ["unmatched", "dead"]),
        (Selection(message_ids=frozenset({"held", "unmatched", "x"})), ["unmatched", "held"]),
        (replace(DEAD, message_ids=frozenset({"held"})), []),
        (Selection(since=NOW), ["dead", "held", "late"]),
        (Selection(until=NOW), ["unmatched"]),
        (Selection(since=NOW + HOUR), ["late"]),
        (replace(DEAD, destination="tiktok", mapping="Order Completed"), ["dead"]),
        (replace(DEAD, destination="other"), []),
        (replace(DEAD, mapping="other"), []),
    ],
)
async def test_every_condition_has_to_hold(
    store: Store, selection: Selection, expected: list[str]
) -> None:
    unmatched = replace(event("unmatched", received_at=NOW - HOUR), deliveries=())
    await store.append([replace(unmatched, disposition=Disposition.UNMATCHED)])
    await store.append([event("dead"), event("held"), event("late", received_at=NOW + HOUR)])
    await end(store, dead=State.DEAD, held=State.HELD)
    assert names(await selected(store, selection)) == expected


async def test_own_test_events_are_meant_by_their_ids_alone(store: Store) -> None:
    await store.append([event("a"), replace(event("b"), source=CANARY_SOURCE)])
    unmatched = frozenset(Disposition)
    assert [one.message_id for one in await selected(store, Selection())] == ["a", "b"]
    chosen = await selected(store, Selection(dispositions=unmatched))
    assert [one.message_id for one in chosen] == ["a"]
    named = Selection(dispositions=unmatched, message_ids=frozenset({"b"}))
    assert [one.message_id for one in await selected(store, named)] == ["b"]


async def test_state_and_destination_are_of_the_same_delivery(store: Store) -> None:
    await store.append([event("a", delivery("a"), delivery("a", "other"))])
    await end(store, a=State.DEAD)
    assert names(await selected(store, replace(DEAD, destination="tiktok"))) == ["a"]
    assert await selected(store, replace(DEAD, destination="other")) == []
    assert len((await only(store)).deliveries) == 2


@pytest.mark.parametrize("state", [State.DEAD, State.UNCERTAIN, State.HELD])
async def test_what_is_requeued_goes_again_as_it_was(store: Store, state: State) -> None:
    await store.append([event("a", delivery("a", body=b"body"))])
    await end(store, a=state)
    later = NOW + HOUR
    assert await store.requeue([again(await only(store))], later) == (True,)
    (claim,) = await store.claim("tiktok", 10, LEASE, later)
    assert (claim.body, claim.attempts, claim.accepted_at) == (b"body", 1, later)
    kept = NOW - HOUR if state is State.HELD else None
    assert claim.first_unknown_at == kept, "only of what is uncertain a person decided"


async def test_what_is_requeued_can_be_something_else(store: Store) -> None:
    await store.append([event("a")])
    await end(store, a=State.DEAD)
    planned = PlannedDelivery("tiktok", "New", APP, "Purchase", "a" * 200, b"new")
    assert await store.requeue([again(await only(store), planned)], NOW) == (True,)
    totals = await store.totals()
    assert totals.deliveries[("tiktok", State.PENDING)] == 1
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    assert (claim.envelope, claim.mapping, claim.event_name) == (APP, "New", "Purchase")
    assert (claim.event_id, claim.body) == (kept_event_id("a" * 200), b"new")


async def test_what_changed_since_it_was_seen_is_left_alone(store: Store) -> None:
    await store.append([event("a")])
    await end(store, a=State.DEAD)
    seen = again(await only(store))
    assert await store.requeue([seen, seen], NOW) == (True, False)
    await end(store, a=State.DELIVERED)
    assert await store.requeue([seen, again(await only(store))], NOW) == (False, False)
    assert await store.claim("tiktok", 10, LEASE, NOW) == ()


async def test_what_may_have_arrived_since_it_was_seen_goes_as_nothing_else(store: Store) -> None:
    """A probe is no attempt, so nothing else tells of it."""
    await store.append([event("a")])
    seen = await only(store)
    (probe,) = await store.claim_probe("tiktok", LEASE, NOW)
    await store.settle([retried(probe, NOW, NOW)], NOW)
    another = replace(delivery("a"), event_id="another")
    assert await store.requeue([again(seen, another)], NOW) == (False,)
    renamed = replace(delivery("a"), mapping="Renamed", body=b"new")
    assert await store.requeue([again(seen, renamed)], NOW) == (True,)
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    assert (claim.event_id, claim.first_unknown_at, claim.body) == ("a", NOW, b"new")


async def test_an_unused_event_gets_its_delivery_once(store: Store) -> None:
    unmatched = replace(event("a"), disposition=Disposition.UNMATCHED, deliveries=())
    await store.append([unmatched])
    found = await only(store)
    new = Requeue(found.id, None, delivery("a", body=b"late"))
    renamed = replace(new, planned=replace(delivery("a"), mapping="Renamed"))
    assert await store.requeue([new, new, renamed], NOW) == (True, False, False)
    totals = await store.totals()
    assert {one: count for one, count in totals.events.items() if count} == {
        Disposition.PLANNED: 1
    }
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    assert (claim.message_id, claim.body, claim.attempts) == ("a", b"late", 1)


async def test_new_deliveries_and_new_events_get_ids_of_their_own(store: Store) -> None:
    """The ids of both are handed out in one place, new envelopes included."""
    await store.append([replace(event("a"), disposition=Disposition.UNMATCHED, deliveries=())])
    found = await only(store)
    new = [Requeue(found.id, None, delivery("a", f"other-{n}", f"E{n}")) for n in range(3)]
    assert await store.requeue(new, NOW) == (True, True, True)
    receipt = await store.append([event("b", delivery("b", "other-1", "E1"), delivery("b"))])
    assert receipt.accepted == 1
    (a, b) = await store.claim("other-1", 10, LEASE, NOW)
    assert (a.message_id, b.message_id, a.envelope, b.envelope) == ("a", "b", "E1", "E1")
    ids = [one.record.id for found in await selected(store, EVERY) for one in found.deliveries]
    assert len(set(ids)) == 5


async def test_what_was_in_quarantine_is_known_by_its_messageid_from_then_on(
    store: Store,
) -> None:
    hidden = replace(event("relay-1"), disposition=Disposition.QUARANTINED, deliveries=())
    await store.append([hidden, event("taken")])
    found = (await selected(store, EVERY))[0]
    taken = Requeue(found.id, None, delivery("taken"), message_id="taken")
    assert await store.requeue([taken], NOW) == (False,), "that is another event"
    fresh = Requeue(found.id, None, delivery("m-1"), message_id="m-1")
    assert await store.requeue([fresh], NOW) == (True,)
    assert (await store.append([event("m-1")])).duplicates == 1
    assert names(await selected(store, Selection(message_ids=frozenset({"m-1"})))) == ["relay-1"]


async def test_a_conversion_is_the_same_whatever_its_destination_is_called(store: Store) -> None:
    await store.append([event("a")])
    found = await only(store)
    renamed = replace(delivery("a"), destination="renamed", mapping="Renamed")
    assert await store.requeue([Requeue(found.id, None, renamed)], NOW) == (False,)
    elsewhere = replace(renamed, envelope=APP)
    assert await store.requeue([Requeue(found.id, None, elsewhere)], NOW) == (True,)


async def test_what_may_have_arrived_can_follow_a_renamed_destination(store: Store) -> None:
    await store.append([event("a")])
    await end(store, a=State.HELD)
    renamed = replace(delivery("a"), destination="renamed")
    assert await store.requeue([again(await only(store), renamed)], NOW) == (True,)
    (claim,) = await store.claim("renamed", 10, LEASE, NOW)
    assert (claim.event_id, claim.first_unknown_at) == ("a", NOW - HOUR)


async def test_the_ledger_says_whose_a_messageid_is(store: Store) -> None:
    await store.append([event("a"), event("b")])
    first, second = await selected(store, EVERY)
    asked = [("default", "b"), ("default", "x"), ("default", "a"), ("other", "a")]
    assert await store.known(asked) == (second.id, None, first.id, None)
    assert await store.known([]) == ()


async def test_a_page_ends_early_when_its_originals_are_large(store: Store) -> None:
    large = b'"' + bytes(range(97, 122)) * 20_000 + b'"'
    await store.append([event(f"m-{n}", original=large) for n in range(12)])
    page = await store.select(EVERY, 0, 200)
    assert page.after == page.events[-1].id
    assert 4 <= len(page.events) <= 6
    assert all(one.original == large for one in page.events)
    assert names(await selected(store, EVERY)) == [f"m-{n}" for n in range(12)]


async def test_an_event_that_is_gone_is_not_sent(store: Store) -> None:
    assert await store.requeue([Requeue(77, None, delivery("a"))], NOW) == (False,)
    assert (await store.totals()).deliveries.get(("tiktok", State.PENDING), 0) == 0


@pytest.mark.parametrize(
    ("state", "goes"),
    [
        (State.DEAD, True),
        (State.UNCERTAIN, True),
        (State.HELD, True),
        (State.PENDING, False),
        (State.DELIVERED, False),
    ],
)
async def test_only_what_waits_for_a_person_can_be_discarded(
    store: Store, state: State, *, goes: bool
) -> None:
    await store.append([event("a")])
    await end(store, a=state)
    (kept,) = (await only(store)).deliveries
    done = frozenset({kept.record.id}) if goes else frozenset[int]()
    assert await store.discard([kept.record.id, kept.record.id + 1], "no use", NOW) == done
    (record,) = await store.deliveries(["a"])
    assert record.state is (State.SUPPRESSED if goes else state)
    if goes:
        assert record.reason == "no use"
        assert await store.requeue([again(await only(store))], NOW) == (True,), "and comes back"


async def test_the_body_of_a_delivery(store: Store) -> None:
    await store.append([event("a", delivery("a", body=b"body"))])
    (kept,) = (await only(store)).deliveries
    assert await store.body(kept.record.id) == b"body"
    assert await store.body(kept.record.id + 1) is None
    await end(store, a=State.DELIVERED)
    assert await store.body(kept.record.id) is None
