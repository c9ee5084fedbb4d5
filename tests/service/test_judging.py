"""What a replay does with one event: a table of what is kept against what is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from conversion_relay.core.delivery import State
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.cases import Case, Fate, Judgement, Wanted
from conversion_relay.service.judging import judge, judge_as_sent, judge_gone
from conversion_relay.service.store.port import (
    DeliveryRecord,
    Disposition,
    KeptDelivery,
    KeptEvent,
    NewEvent,
    Requeue,
    Selection,
)

NOW = datetime(2026, 1, 14, tzinfo=UTC)
DEAD = Wanted(Selection(states=frozenset({State.DEAD})))
UNPLANNED = Wanted(
    Selection(dispositions=frozenset(Disposition) - {Disposition.PLANNED}),
)


def kept(
    state: State, mapping: str = "Order", name: str = "Purchase", event_id: str | None = "m-1"
) -> KeptDelivery:
    number = len(mapping) * 100 + list(State).index(state)
    record = DeliveryRecord(number, "m-1", "toy", mapping, name, state, 1, None, NOW, None)
    return KeptDelivery(record, "one", event_id, None)


def planned(
    mapping: str = "Order", name: str = "Purchase", event_id: str | None = "m-1"
) -> PlannedDelivery:
    return PlannedDelivery("toy", mapping, "one", name, event_id, b"new")


def event(*deliveries: KeptDelivery, disposition: Disposition = Disposition.PLANNED) -> KeptEvent:
    return KeptEvent(7, "default", "m-1", "track", NOW, disposition, None, (), deliveries, b"{}")


def plan(*deliveries: PlannedDelivery, message_id: str = "m-1", **changes: object) -> NewEvent:
    disposition = Disposition.PLANNED if deliveries else Disposition.UNMATCHED
    made = NewEvent("default", message_id, "track", NOW, b"{}", disposition, deliveries)
    return replace(made, **changes)  # type: ignore[arg-type]


def judged(found: KeptEvent, today: NewEvent, wanted: Wanted = DEAD) -> list[Judgement]:
    return list(judge(Case(found, "Order Completed", wanted), today))


def fates(judgements: list[Judgement]) -> list[Fate]:
    return [one.fate for one in judgements]


WAIT = frozenset({State.HELD, State.PENDING})


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept, what today's mappings make, what is to become of it."""

    found: tuple[KeptDelivery, ...]
    today: tuple[PlannedDelivery, ...]
    fates: list[Fate]
    states: frozenset[State] = field(default=frozenset({State.DEAD}))


ROWS = {
    "dead goes again": Row((kept(State.DEAD),), (planned(),), [Fate.SENT]),
    "delivered never": Row(
        (kept(State.DELIVERED),), (planned(),), [Fate.DELIVERED], frozenset({State.DELIVERED})
    ),
    "claimed neither": Row(
        (kept(State.CLAIMED),), (planned(),), [Fate.UNDER_WAY], frozenset({State.CLAIMED})
    ),
    "pending goes anyhow": Row(
        (kept(State.PENDING),), (planned(),), [Fate.UNDER_WAY], frozenset({State.DEAD})
    ),
    "pending is replaced if asked for": Row(
        (kept(State.PENDING),), (planned(),), [Fate.SENT], frozenset({State.PENDING})
    ),
    "uncertain is not touched unasked": Row(
        (kept(State.UNCERTAIN),), (planned(),), [Fate.NOT_SELECTED]
    ),
    "a renamed mapping is the same conversion": Row(
        (kept(State.DELIVERED, "Old"),), (planned("New"),), [Fate.DELIVERED]
    ),
    "a renamed mapping takes the dead one's place": Row(
        (kept(State.DEAD, "Old"),), (planned("New"),), [Fate.SENT]
    ),
    "the same conversion without an id": Row(
        (kept(State.DELIVERED, "Old", event_id=None),),
        (planned("New", event_id=None),),
        [Fate.DELIVERED],
    ),
    "another conversion is not added to what was delivered": Row(
        (kept(State.DELIVERED, "Old", "Search"),), (planned("New"),), []
    ),
    "nor to that beside a dead one": Row(
        (kept(State.DELIVERED, "Old", "PlaceAnOrder"), kept(State.DEAD, "View", "ViewContent")),
        (planned("New"), planned("View", "ViewContent")),
        [Fate.SENT],
    ),
    "nor in the place of a dead one, of which nobody knows which it was": Row(
        (kept(State.DELIVERED, "Old", "PlaceAnOrder"), kept(State.DEAD, "View", "ViewContent")),
        (planned("New"),),
        [Fate.DELIVERED],
    ),
    "renamed and another event takes the dead one's place": Row(
        (kept(State.DEAD, "Old", "Search"),), (planned("New"),), [Fate.SENT]
    ),
    "a held one, which would go as well": Row(
        (kept(State.HELD, "Old", "Search"),), (planned("New"),), [Fate.SENT], WAIT
    ),
    "a pending one, which would go as well": Row(
        (kept(State.PENDING, "Old", "Search"),), (planned("New"),), [Fate.SENT], WAIT
    ),
    "a held one that was not asked for may be the same": Row(
        (kept(State.HELD, "Old", "Search"), kept(State.DEAD, "Gone", "View")),
        (planned("New"),),
        [Fate.UNDER_WAY],
    ),
    "a claimed one may be the same": Row(
        (kept(State.CLAIMED, "Old", "Search"), kept(State.DEAD, "Gone", "View")),
        (planned("New"),),
        [Fate.UNDER_WAY],
    ),
    "more are held than would be replaced": Row(
        (kept(State.HELD, "Old", "Search"), kept(State.HELD, "Gone", "View")),
        (planned("New"),),
        [Fate.UNDER_WAY, Fate.UNMATCHED],
        WAIT,
    ),
    "more are held than there are conversions": Row(
        (kept(State.HELD, "Old", "Search"), kept(State.HELD, "Gone", "View")),
        (planned("New"), planned("Newer")),
        [Fate.UNDER_WAY, Fate.UNMATCHED],
        WAIT,
    ),
    "each held one is replaced": Row(
        (kept(State.HELD, "Old", "Search"), kept(State.HELD, "Gone", "View")),
        (planned("New"), planned("Newer", "Lead")),
        [Fate.SENT, Fate.SENT],
        WAIT,
    ),
    "one is held, and today's mappings make two": Row(
        (kept(State.HELD, "Old", "Search"),),
        (planned("New"), planned("Newer", "Lead")),
        [Fate.SENT],
        WAIT,
    ),
    "one pending delivery is like two, and replaced once": Row(
        (kept(State.PENDING, "Order", "Search"),),
        (planned("Order", "Lead"), planned("New", "Search")),
        [Fate.SENT, Fate.CHANGED],
        WAIT,
    ),
    "two that are alike are held, and one would go by itself": Row(
        (kept(State.HELD, "Order", "Search"), kept(State.HELD, "Gone")),
        (planned("Order"),),
        [Fate.UNDER_WAY],
        WAIT,
    ),
    "delivered by one, dead by another mapping": Row(
        (kept(State.DELIVERED, "A"), kept(State.DEAD, "BB")), (planned("BB"),), [Fate.DELIVERED]
    ),
    "dead and not made any more": Row((kept(State.DEAD),), (), [Fate.UNMATCHED]),
    "nothing that was asked for": Row((kept(State.HELD, "Old", "Search"),), (), []),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_nothing_goes_twice_or_unasked(row: Row) -> None:
    wanted = Wanted(Selection(states=row.states))
    assert fates(judged(event(*row.found), plan(*row.today), wanted)) == row.fates


def test_what_goes_takes_the_place_of_the_meant_delivery() -> None:
    old = kept(State.DEAD)
    (found,) = judged(event(old), plan(planned()))
    assert found.requeue == Requeue(7, old.record, planned())


def test_what_is_new_takes_no_place() -> None:
    unmatched = event(disposition=Disposition.UNMATCHED)
    (found,) = judged(unmatched, plan(planned()), UNPLANNED)
    assert found.requeue == Requeue(7, None, planned())
    assert fates(judged(unmatched, plan(), UNPLANNED)) == [Fate.UNMATCHED]


def test_two_that_make_one_conversion_go_once() -> None:
    unmatched = event(disposition=Disposition.UNMATCHED)
    for second in (planned("B"), replace(planned("B"), destination="renamed")):
        found = judged(unmatched, plan(planned("A"), second), UNPLANNED)
        assert fates(found) == [Fate.SENT, Fate.UNDER_WAY]


@pytest.mark.parametrize(
    ("state", "today", "expected"),
    [
        (State.DELIVERED, planned(), [Fate.DELIVERED]),
        (State.DELIVERED, planned("Renamed"), [Fate.DELIVERED]),
        (State.DEAD, planned(), [Fate.SENT]),
        (State.DEAD, planned(event_id="m-2"), [Fate.UNMATCHED]),
        (State.DEAD, replace(planned(), envelope="two"), [Fate.UNMATCHED]),
    ],
)
def test_a_conversion_is_the_same_whatever_its_destination_is_called(
    state: State, today: PlannedDelivery, expected: list[Fate]
) -> None:
    wanted = Wanted(Selection(states=frozenset({state})))
    renamed = replace(today, destination="renamed")
    assert fates(judged(event(kept(state)), plan(renamed), wanted)) == expected


def test_as_sent_a_renamed_destination_has_it_already() -> None:
    dead = kept(State.DEAD)
    there = kept(State.DELIVERED, "Other")
    there = replace(there, record=replace(there.record, destination="renamed"))
    assert fates(list(judge_as_sent(Case(event(dead, there), None, DEAD)))) == [Fate.DELIVERED]


@pytest.mark.parametrize(
    ("doubtful", "today", "fate"),
    [
        (kept(State.DEAD, "Gone", "Old"), planned("New"), Fate.UNRECOGNISABLE),
        (kept(State.UNCERTAIN, "Gone", "Old"), planned("New"), Fate.UNRECOGNISABLE),
        (kept(State.DEAD, "Gone"), planned("Order"), Fate.SENT),
        (kept(State.DEAD, "Gone"), planned("Order", event_id="m-2"), Fate.SENT),
    ],
)
def test_whatever_it_may_be_a_copy_of_is_looked_at(
    doubtful: KeptDelivery, today: PlannedDelivery, fate: Fate
) -> None:
    doubtful = replace(doubtful, first_unknown_at=NOW)
    found = event(kept(State.DEAD, "Order", "Search"), doubtful)
    assert judged(found, plan(today))[0].fate is fate


def test_of_two_that_are_alike_the_one_that_may_have_arrived_is_replaced() -> None:
    clean, doubtful = kept(State.DEAD, "Order", "Search"), kept(State.DEAD, "Gone")
    doubtful = replace(doubtful, first_unknown_at=NOW)
    (found,) = judged(event(clean, doubtful), plan(planned("Order")))
    assert found.requeue is not None
    assert found.requeue.replaced == doubtful.record


def test_what_a_rejecting_mapping_made_is_no_stray() -> None:
    note = Note("toy", "Order", "value", "must be a number")
    found = event(kept(State.DEAD))
    assert fates(judged(found, plan(planned("New", "Lead"), rejections=(note,)))) == [
        Fate.REJECTED
    ]


def test_of_two_that_are_alike_the_one_of_the_mapping_is_replaced() -> None:
    other, same = kept(State.DEAD, "Other"), kept(State.DEAD, "Order")
    (found,) = judged(event(other, same), plan(planned("Order")))
    assert found.requeue is not None
    assert found.requeue.replaced == same.record


@pytest.mark.parametrize(
    ("state", "today", "fate"),
    [
        (State.HELD, planned(), Fate.SENT),
        (State.HELD, planned(event_id="m-2"), Fate.UNRECOGNISABLE),
        (State.HELD, planned(name="CompletePayment"), Fate.UNRECOGNISABLE),
        (State.HELD, replace(planned(), envelope="two"), Fate.UNRECOGNISABLE),
        (State.UNCERTAIN, planned(event_id="m-2"), Fate.SENT),
    ],
)
def test_what_may_have_arrived_keeps_its_name(
    state: State, today: PlannedDelivery, fate: Fate
) -> None:
    """TikTok would count it again; only of what is uncertain a person says that it did not."""
    old = replace(kept(state), first_unknown_at=NOW)
    wanted = Wanted(Selection(states=frozenset({state})))
    assert fates(judged(event(old), plan(today), wanted)) == [fate]


def test_destination_and_mapping_limit_what_goes() -> None:
    found = event(kept(State.DEAD, "A", "Search"), kept(State.DEAD, "BB", "Lead"))
    today = plan(planned("A", "Search"), planned("BB", "Lead"))
    for selection in (
        replace(DEAD.selection, mapping="BB"),
        replace(DEAD.selection, mapping="BB", destination="toy"),
    ):
        (one,) = judged(found, today, Wanted(selection))
        assert one.requeue is not None
        assert one.requeue.planned == planned("BB", "Lead")
    assert judged(found, today, Wanted(replace(DEAD.selection, destination="other"))) == []


@pytest.mark.parametrize(
    ("name", "count"), [("Order Completed", 1), ("Purchase", 1), ("Search", 0), (None, 1)]
)
def test_the_name_is_segment_s_or_the_partner_s(name: str | None, count: int) -> None:
    wanted = replace(DEAD, event_name=name)
    assert len(judged(event(kept(State.DEAD)), plan(planned()), wanted)) == count
    unmatched = event(disposition=Disposition.UNMATCHED)
    assert len(judged(unmatched, plan(planned()), replace(UNPLANNED, event_name=name))) == count


def test_a_rejection_says_why_and_answers_for_what_is_kept() -> None:
    note = Note("toy", "Order", "value", "must be a number")
    today = plan(disposition=Disposition.REJECTED, rejections=(note, note))
    for found, wanted in (
        (event(kept(State.DEAD)), DEAD),
        (event(disposition=Disposition.REJECTED), UNPLANNED),
    ):
        assert judged(found, today, wanted) == [Judgement(Fate.REJECTED, notes=(note, note))]
    elsewhere = Wanted(replace(UNPLANNED.selection, mapping="Other"))
    rejected = event(disposition=Disposition.REJECTED)
    assert fates(judged(rejected, today, elsewhere)) == [Fate.UNMATCHED]


FORBIDDEN = Note("toy", "Order", "integrations", "says false for All")
FILTERED = Wanted(Selection(dispositions=frozenset({Disposition.SUPPRESSED})))
HELD_BACK = replace(event(disposition=Disposition.SUPPRESSED), suppressions=(FORBIDDEN,))
REFUSING = plan(disposition=Disposition.SUPPRESSED, suppressions=(FORBIDDEN,))


def test_what_a_filter_refuses_today_is_not_sent_again() -> None:
    """Neither what it refused then, nor what it let through."""
    refused = [Judgement(Fate.SUPPRESSED, notes=(FORBIDDEN,))]
    assert judged(HELD_BACK, REFUSING, FILTERED) == refused
    assert judged(event(kept(State.DEAD)), REFUSING) == refused
    assert judged(event(kept(State.HELD)), REFUSING) == []
    assert judged(HELD_BACK, REFUSING) == []


def test_what_a_filter_held_back_goes_when_it_lets_it_pass() -> None:
    (found,) = judged(HELD_BACK, plan(planned()), FILTERED)
    assert found == Judgement(Fate.SENT, Requeue(7, None, planned()))
    elsewhere = Wanted(replace(FILTERED.selection, mapping="Other"))
    assert fates(judged(HELD_BACK, plan(planned()), elsewhere)) == [Fate.UNMATCHED]
    assert list(judge_as_sent(Case(HELD_BACK, "Order Completed", FILTERED))) == []


def test_beside_what_was_delivered_only_what_was_held_back_goes() -> None:
    """A destination that was added since gets nothing of it."""
    there = kept(State.DELIVERED, "BB")
    there = replace(there, envelope="two", record=replace(there.record, destination="other"))
    partly = replace(event(there), suppressions=(FORBIDDEN,))
    delivered = replace(planned("BB"), envelope="two", destination="other")
    new = replace(planned("New"), envelope="three", destination="new")
    today = plan(delivered, planned(), new)
    assert fates(judged(partly, today, FILTERED)) == [Fate.DELIVERED, Fate.SENT]
    assert fates(judged(partly, REFUSING, FILTERED)) == [Fate.SUPPRESSED]
    assert Fate.SENT not in fates(judged(partly, today))


def test_what_was_in_quarantine_is_known_by_its_own_id() -> None:
    hidden = replace(event(disposition=Disposition.QUARANTINED), message_id="relay-1")
    (found,) = judged(hidden, plan(planned()), UNPLANNED)
    assert found.requeue is not None
    assert found.requeue.message_id == "m-1"
    still = plan(disposition=Disposition.QUARANTINED, reason="it is no event")
    (found,) = judged(hidden, still, UNPLANNED)
    assert (found.fate, found.notes[0].reason) == (Fate.NO_EVENT, "it is no event")


def test_without_its_original_nothing_is_made() -> None:
    two = event(kept(State.DEAD, "A"), kept(State.DEAD, "BB"), kept(State.HELD))
    assert fates(list(judge_gone(Case(two, None, DEAD)))) == [Fate.GONE, Fate.GONE]
    unmatched = event(disposition=Disposition.UNMATCHED)
    assert fates(list(judge_gone(Case(unmatched, None, UNPLANNED)))) == [Fate.GONE]
    named = replace(UNPLANNED, event_name="Order Completed")
    assert list(judge_gone(Case(unmatched, None, named))) == []


@pytest.mark.parametrize(
    ("deliveries", "expected"),
    [
        ((kept(State.DEAD),), [Fate.SENT]),
        ((kept(State.DELIVERED),), [Fate.DELIVERED]),
        ((kept(State.CLAIMED),), [Fate.UNDER_WAY]),
        ((kept(State.DEAD), kept(State.DELIVERED, "Other")), [Fate.DELIVERED, Fate.DELIVERED]),
        ((kept(State.SUPPRESSED),), [Fate.SENT]),
        ((kept(State.HELD),), [Fate.SENT]),
        ((kept(State.PENDING),), [Fate.UNDER_WAY]),
    ],
)
def test_as_sent_only_what_did_not_arrive(
    deliveries: tuple[KeptDelivery, ...], expected: list[Fate]
) -> None:
    every = Wanted(Selection(states=frozenset(State)))
    found = list(judge_as_sent(Case(event(*deliveries), None, every)))
    assert fates(found) == expected
    for one, delivery in zip(found, deliveries, strict=True):
        if one.fate is Fate.SENT:
            assert one.requeue == Requeue(7, delivery.record)
