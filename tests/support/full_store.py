"""A store in which everything there can be is kept, drawn from a seed; and all that it answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.destination import Worth
from conversion_relay.core.lane import Condition
from conversion_relay.core.plan import Note, PlannedDelivery
from conversion_relay.service.store.history import (
    AlertRecord,
    FlowCount,
    RequestRecord,
    VersionRecord,
)
from conversion_relay.service.store.persons import KeyCount, Learned
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    KeptEvent,
    LaneRecord,
    NewEvent,
    Retention,
    Selection,
    Settlement,
    Store,
)

BEGIN = datetime(2026, 1, 13, 20, tzinfo=UTC)
NOW = BEGIN + timedelta(hours=30)
USERS = tuple(f"user-{number}" for number in range(12))
_OLD_BITS = (1 << 36) - 1
_HOUR = timedelta(hours=1)
_ENDS: Mapping[State, Cause] = {
    State.DELIVERED: Cause.ACCEPTED,
    State.DEAD: Cause.REFUSED,
    State.HELD: Cause.CREDENTIALS,
    State.UNCERTAIN: Cause.PAST_RECOGNITION,
    State.PENDING: Cause.UNKNOWN,
}


async def fill(store: Store, seed: int, events: int) -> None:
    """Keep events of two days in every state, and everything else besides."""
    dice = random.Random(seed)  # noqa: S311 - reproducible, not secret
    made = [_event(dice, number, events) for number in range(events)]
    for start in range(0, events, 40):
        await store.append(made[start : start + 40])
    for round_ in range(4):
        await _deliver(store, dice, NOW + round_ * _HOUR)
    await store.claim("tiktok", 3, timedelta(minutes=1), NOW + 5 * _HOUR)
    await _discard_some(store)
    await store.sweep(Retention(unmatched=timedelta(hours=20)), NOW + 5 * _HOUR)
    await _history(store)


async def answers(store: Store) -> dict[str, object]:
    """All that the store tells through its port; ids as the old store had them."""
    events = await _events(store)
    deliveries = [one.record.id for event in events for one in event.deliveries]
    keys = [(event.source, event.message_id) for event in events]
    unmatched = [("web", f"m{number}") for number in range(3_000)]
    since, until = BEGIN - _HOUR, NOW + 48 * _HOUR
    history = store.history
    return {
        "events": sorted((_as_old(event) for event in events), key=lambda one: one.id),
        "bodies": sorted([(_old(one), await store.body(one)) for one in deliveries]),
        "known": [_old(one) for one in await store.known([*keys, *unmatched])],
        "totals": await store.totals(),
        "remembered": {
            source: await store.remembered(source, USERS, NOW) for source in ("web", "app")
        },
        "forgettable": [
            await store.forgettable({user}, source, NOW)
            for user in USERS
            for source in (None, "web")
        ],
        "key report": await store.key_report(BEGIN.date(), NOW.date()),
        "lanes": await store.lanes(),
        "attempts": sorted([(_old(one), await history.attempts(one)) for one in deliveries]),
        "requests": await history.requests(since, until, 10_000),
        "flow": await history.flow(since, until, timedelta(minutes=1)),
        "alerts": await history.alerts(100),
        "versions": await history.versions(100),
        "outcomes": sorted(map(repr, await history.outcomes(since, until, [_HOUR]))),
        "moments": await history.moments(since, until, _HOUR),
        "waiting": await history.waiting(),
    }


def _event(dice: random.Random, number: int, events: int) -> NewEvent:
    received_at = BEGIN + timedelta(hours=8) * number / events
    kind = dice.choice([*[Disposition.PLANNED] * 6, *Disposition])
    source, note = dice.choice(["web", "app"]), Note("tiktok", "Order", "value", "no number")
    planned = tuple(
        _planned(dice, number, name)
        for name in dice.sample(["Order", "Again", "Other"], dice.randint(1, 2))
    )
    return NewEvent(
        source=source,
        message_id=f"m{number}" + dice.choice(["", "", "\x00\x1b"]),
        type="" if kind is Disposition.QUARANTINED else "track",
        received_at=received_at,
        original=dice.randbytes(dice.randint(0, 300)),
        disposition=kind,
        deliveries=planned if kind is Disposition.PLANNED else (),
        warnings=(note,) * dice.randint(0, 1),
        rejections=(note,) if kind is Disposition.REJECTED else (),
        suppressions=(note,) if kind is Disposition.SUPPRESSED else (),
        reason="not JSON \x00" if kind is Disposition.QUARANTINED else None,
        subjects=tuple(dice.sample(USERS, dice.randint(0, 2))),
        learned=(Learned("tiktok", {"email": f"hash-{number}"}, NOW + 90 * 24 * _HOUR),)
        * dice.randint(0, 1),
        key_counts=(KeyCount("tiktok", "any", 0, 1), KeyCount("tiktok", "email", 0, 1)),
    )


def _planned(dice: random.Random, number: int, mapping: str) -> PlannedDelivery:
    destination = "other" if mapping == "Other" else "tiktok"
    return PlannedDelivery(
        destination,
        mapping,
        dice.choice(["web|PIXEL", "app|TTAPP"]),
        "PlaceAnOrder",
        dice.choice([f"id-{number}", "x" * 150, None]),
        dice.randbytes(50),
        worth=dice.choice([None, Worth(1_250_000, "EUR")]),
    )


async def _deliver(store: Store, dice: random.Random, at: datetime) -> None:
    for destination in ("tiktok", "other"):
        for _ in range(4):
            claims = await store.claim(destination, 12, timedelta(minutes=1), at)
            if claims:
                record = RequestRecord(
                    destination, at, 0.25, len(claims), "accepted", 200, 0, "log-1", "a\x00b"
                )
                ends = [_end(dice, claim, at) for claim in claims]
                await store.settle(ends, at, record)


def _end(dice: random.Random, claim: ClaimedDelivery, at: datetime) -> Settlement:
    state = dice.choice([State.DELIVERED, State.PENDING, *_ENDS])
    due_at = at + dice.randint(1, 90) * timedelta(minutes=1) if state is State.PENDING else None
    unknown = at if state in {State.PENDING, State.UNCERTAIN, State.HELD} else None
    reason = None if state is State.DELIVERED else "no\x00 answer"
    return Settlement(
        claim.id, claim.fence, Transition(state, _ENDS[state], due_at, reason, unknown)
    )


async def _discard_some(store: Store) -> None:
    found = await store.select(Selection(states=frozenset({State.DEAD})), 0, 3)
    ids = [one.record.id for event in found.events for one in event.deliveries]
    await store.discard(ids[:2], "by hand", NOW + 5 * _HOUR)


async def _history(store: Store) -> None:
    await store.keep_lane(LaneRecord("tiktok", "print", Condition.OPEN, BEGIN, "HTTP 502"))
    await store.keep_lane(LaneRecord("other", "print", Condition.FLOWING, None, None))
    minute = BEGIN.replace(minute=7)
    await store.history.add_flow(
        [FlowCount(minute + number * _HOUR, "events_kept", ("web", "pl"), 3) for number in (0, 2)]
    )
    alert = AlertRecord(
        0, "lane_open", "tiktok", "critical", BEGIN, BEGIN, None, "away", "wait", {"n": 1}
    )
    await store.history.keep_alert(replace(alert, resolved_at=NOW))
    await store.history.keep_alert(alert)
    for number in (1, 2):
        await store.history.keep_version(
            VersionRecord(0, BEGIN + number * _HOUR, "start", f"print-{number}", '{"a": 1}')
        )


async def _events(store: Store) -> list[KeptEvent]:
    found: list[KeptEvent] = []
    after: int | None = 0
    while after is not None:
        page = await store.select(Selection(), after, 500)
        found += page.events
        after = page.after
    return found


def _as_old(event: KeptEvent) -> KeptEvent:
    deliveries = sorted(
        (
            replace(one, record=replace(one.record, id=_old(one.record.id) or 0))
            for one in event.deliveries
        ),
        key=lambda one: one.record.id,
    )
    return replace(event, id=event.id & _OLD_BITS, deliveries=tuple(deliveries))


def _old(number: int | None) -> int | None:
    return None if number is None else number & _OLD_BITS


def differing(one: Mapping[str, object], other: Mapping[str, object]) -> Sequence[str]:
    """Of what the answers are not the same."""
    return [name for name in one if one[name] != other[name]]
