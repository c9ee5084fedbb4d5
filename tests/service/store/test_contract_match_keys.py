"""What every store promises of counting match keys, and of notes on what was kept back."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from conversion_relay.core.plan import Note
from conversion_relay.service.store.port import (
    Disposition,
    KeyCount,
    KeyCounted,
    Requeue,
    Retention,
    Selection,
    Store,
)
from service.store.examples import NOW, delivery, event

DAY = NOW.date()
LONG_AGO = date(1970, 1, 1)
EVERY = Selection()


async def test_match_keys_are_counted_by_day_and_only_once(store: Store) -> None:
    email, phone = KeyCount("tiktok", "email", 1, 1), KeyCount("tiktok", "phone", 0, 1)
    none = KeyCount("tiktok", "phone", 0, 0)
    counted = [
        replace(event("a"), key_counts=(email, phone)),
        replace(event("b"), key_counts=(email, none)),
        replace(event("c"), key_counts=(phone,), received_at=NOW + timedelta(days=1)),
    ]
    await store.append(counted)
    await store.append([*counted, replace(event("d"), key_counts=(email,))])
    first = KeyCounted(DAY, "tiktok", "email", 3, 3, 3)
    second = KeyCounted(DAY, "tiktok", "phone", 2, 0, 1)
    third = KeyCounted(DAY + timedelta(days=1), "tiktok", "phone", 1, 0, 1)
    assert tuple(await store.key_report(LONG_AGO, DAY + timedelta(days=9))) == (
        first,
        second,
        third,
    )
    assert tuple(await store.key_report(DAY, DAY)) == (first, second)
    assert tuple(await store.key_report(LONG_AGO, DAY - timedelta(days=1))) == ()


async def test_what_a_replay_makes_first_is_counted_on_the_day_it_was_received(
    store: Store,
) -> None:
    held_back = replace(event("a"), disposition=Disposition.SUPPRESSED, deliveries=())
    await store.append([held_back])
    (found,) = (await store.select(EVERY, 0, 10)).events
    planned = replace(
        delivery("a"), keys=frozenset({"email", "phone"}), filled=frozenset({"phone"})
    )
    new, later = Requeue(found.id, None, planned), NOW + timedelta(days=3)
    assert await store.requeue([new, new], later) == (True, False)
    (found,) = (await store.select(EVERY, 0, 10)).events
    again = Requeue(found.id, found.deliveries[0].record, planned)
    assert await store.requeue([again], later) == (True,), "it was counted already"
    assert tuple(await store.key_report(LONG_AGO, DAY + timedelta(days=9))) == (
        KeyCounted(DAY, "tiktok", "any", 1, 1, 1),
        KeyCounted(DAY, "tiktok", "email", 1, 1, 1),
        KeyCounted(DAY, "tiktok", "phone", 1, 0, 1),
    )


async def test_the_day_is_that_of_utc(store: Store) -> None:
    late = NOW.replace(hour=23, minute=59)
    count = KeyCount("tiktok", "email", 1, 1)
    await store.append([replace(event("a"), key_counts=(count,), received_at=late)])
    (counted,) = await store.key_report(LONG_AGO, DAY)
    assert counted.day == DAY


async def test_counts_of_long_ago_are_removed(store: Store) -> None:
    count = KeyCount("tiktok", "email", 1, 1)
    await store.append([replace(event("a"), key_counts=(count,))])
    for days, left in ((400, 1), (401, 0)):
        while not (await store.sweep(Retention(), NOW + timedelta(days=days))).is_done:
            pass
        assert len(await store.key_report(LONG_AGO, DAY)) == left


async def test_what_was_kept_back_is_noted(store: Store) -> None:
    note = Note("tiktok", "Order Completed", "integrations", "it is switched off")
    kept_back = replace(
        event("a"), disposition=Disposition.SUPPRESSED, deliveries=(), suppressions=(note,)
    )
    await store.append([kept_back, event("b")])
    chosen = Selection(dispositions=frozenset({Disposition.SUPPRESSED}))
    (found,) = (await store.select(chosen, 0, 10)).events
    assert (found.disposition, found.suppressions) == (Disposition.SUPPRESSED, (note,))
    assert found.original == b'{"type":"track"}'


async def test_what_was_kept_back_is_removed_with_the_others(store: Store) -> None:
    kept_back = replace(event("a"), disposition=Disposition.SUPPRESSED, deliveries=())
    await store.append([kept_back])
    for age, left in ((timedelta(days=7) - timedelta(seconds=1), 1), (timedelta(days=7), 0)):
        while not (await store.sweep(Retention(), NOW + age)).is_done:
            pass
        assert len((await store.select(Selection(), 0, 10)).events) == left
