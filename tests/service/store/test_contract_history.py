"""What every store promises to tell of the past, shown through the port alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.destination import Worth
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.history import (
    CANARY_SOURCE,
    AlertRecord,
    AnswerCount,
    FlowCount,
    Moment,
    OutcomeCount,
    RequestRecord,
    VersionRecord,
    Waiting,
)
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    Requeue,
    Retention,
    Selection,
    Settlement,
    Store,
)
from service.store.conftest import Engine
from service.store.examples import APP, LEASE, NOW, delivered, delivery, event, retried

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FULL_MINUTE = NOW.replace(second=0, microsecond=0)
HELD = Transition(State.HELD, Cause.CREDENTIALS, None, "token")
DEAD = Transition(State.DEAD, Cause.REFUSED, None, "no")
REQUEST = RequestRecord(
    destination="tiktok",
    sent_at=NOW,
    seconds=0.123456,
    events=1,
    result="accepted",
    status=200,
    code=0,
    request_id="2026011409300001",
)
REFUSED = replace(
    REQUEST, result="refused", code=40002, reason="event_id is missing", sent_at=NOW + SECOND
)
SILENT = RequestRecord("tiktok", NOW + 2 * SECOND, 10.0, 1, "unknown", reason="no answer in time")
EUR = Worth(12_500_000, "EUR")
USD = Worth(3_000_000, "USD")


def worth(message_id: str, value: Worth | None, destination: str = "tiktok") -> PlannedDelivery:
    return replace(delivery(message_id, destination), worth=value)


async def claimed(store: Store, now: datetime = NOW) -> list[ClaimedDelivery]:
    return list(await store.claim("tiktok", 100, LEASE, now))


def ended(claim: ClaimedDelivery, transition: Transition) -> Settlement:
    return Settlement(claim.id, claim.fence, transition)


async def swept(store: Store, now: datetime) -> None:
    while not (await store.sweep(Retention(), now)).is_done:
        pass


# Requests and who travelled in them


async def test_a_delivery_knows_the_requests_in_which_it_travelled(store: Store) -> None:
    await store.append([event("a"), event("b")])
    for request in (SILENT, REFUSED):
        claims = await claimed(store)
        await store.settle([retried(one, NOW) for one in claims], NOW, request)
    first, second = await claimed(store)
    await store.settle([delivered(first)], NOW, REQUEST)
    await store.settle([delivered(second)], NOW)
    history = store.history
    assert await history.attempts(first.id) == (REQUEST, REFUSED, SILENT)
    assert await history.attempts(second.id) == (REFUSED, SILENT)
    assert await history.attempts(second.id + 100) == ()


async def test_a_request_is_kept_though_nobody_of_it_was_settled(store: Store) -> None:
    await store.append([event("a")])
    (late,) = await claimed(store)
    (current,) = await claimed(store, NOW + LEASE)
    assert await store.settle([], NOW, REQUEST) == 0
    assert await store.settle([delivered(late)], NOW, REFUSED) == 0
    assert await store.history.attempts(current.id) == ()
    assert await store.history.requests(NOW, NOW + HOUR, 10) == (REFUSED, REQUEST)


async def test_a_request_that_decided_nothing_is_an_attempt_all_the_same(store: Store) -> None:
    await store.append([event("a", delivery("a"))])
    (claim,) = await claimed(store)
    await store.settle([], NOW, replace(REFUSED, undecided=(claim.id,)))
    assert await store.history.attempts(claim.id) == (REFUSED,)
    await store.settle([delivered(claim)], NOW, SILENT)
    assert await store.history.attempts(claim.id) == (REFUSED, SILENT)
    late = replace(REQUEST, undecided=(claim.id,))
    await store.settle([], NOW, late)
    assert await store.history.attempts(claim.id) == (REFUSED, SILENT)


async def test_a_replay_forgets_no_attempt(store: Store) -> None:
    await store.append([event("a")])
    (claim,) = await claimed(store)
    await store.settle([ended(claim, DEAD)], NOW, REFUSED)
    (kept,) = (await store.select(Selection(), 0, 10)).events
    again = Requeue(kept.id, kept.deliveries[0].record, worth("a", EUR))
    assert await store.requeue([again], NOW) == (True,)
    assert await store.history.attempts(claim.id) == (REFUSED,)
    assert await store.history.waiting_value("tiktok") == {"EUR": EUR.micros}
    (claim,) = await claimed(store)
    await store.settle([delivered(claim)], NOW, SILENT)
    assert await store.history.attempts(claim.id) == (REFUSED, SILENT)


@pytest.mark.parametrize(
    ("since", "until", "limit", "expected"),
    [
        (NOW, NOW + HOUR, 10, (SILENT, REFUSED, REQUEST)),
        (NOW, NOW + HOUR, 2, (SILENT, REFUSED)),
        (NOW, NOW + SECOND, 10, (REQUEST,)),
        (NOW + SECOND, NOW + 2 * SECOND, 10, (REFUSED,)),
        (NOW + HOUR, NOW, 10, ()),
    ],
)
async def test_requests_are_told_newest_first(
    store: Store,
    since: datetime,
    until: datetime,
    limit: int,
    expected: Sequence[RequestRecord],
) -> None:
    for request in (REFUSED, SILENT, REQUEST):  # settled in another order than sent
        await store.settle([], NOW, request)
    assert await store.history.requests(since, until, limit) == expected


async def test_a_code_that_is_too_large_stops_no_settlement(store: Store) -> None:
    await store.append([event("a")])
    (claim,) = await claimed(store)
    assert await store.settle([delivered(claim)], NOW, replace(REQUEST, code=2**63)) == 1
    assert await store.history.attempts(claim.id) == (replace(REQUEST, code=None),)


async def test_answers_are_added_up_by_step(store: Store) -> None:
    for request in (
        REQUEST,
        replace(REQUEST, events=4, sent_at=NOW + 59 * SECOND),
        replace(REQUEST, destination="other"),
        REFUSED,
        replace(SILENT, sent_at=NOW + 2 * MINUTE),
        replace(REQUEST, sent_at=NOW - SECOND),
        replace(REQUEST, sent_at=NOW + HOUR),
    ):
        await store.settle([], NOW, request)
    assert await store.history.answers(NOW, NOW + HOUR, MINUTE) == (
        AnswerCount(NOW, "other", "accepted", 200, 0, 1, 1),
        AnswerCount(NOW, "tiktok", "accepted", 200, 0, 2, 5),
        AnswerCount(NOW, "tiktok", "refused", 200, 40002, 1, 1),
        AnswerCount(NOW + 2 * MINUTE, "tiktok", "unknown", None, None, 1, 1),
    )


# Counts by the minute


def flow(minutes: int, measure: str, labels: tuple[str, ...], count: int) -> FlowCount:
    return FlowCount(FULL_MINUTE + minutes * MINUTE, measure, labels, count)


KEPT = ("default", "planned")


async def test_counts_of_a_minute_are_added_up(store: Store) -> None:
    await store.history.add_flow([flow(0, "events_kept", KEPT, 2), flow(0, "duplicates", (), 1)])
    await store.history.add_flow([flow(0, "events_kept", KEPT, 3)])
    await store.history.add_flow([])
    assert await store.history.flow(FULL_MINUTE, FULL_MINUTE + MINUTE, MINUTE) == (
        flow(0, "duplicates", (), 1),
        flow(0, "events_kept", KEPT, 5),
    )


@pytest.mark.parametrize(
    ("since", "until", "step", "expected"),
    [
        (0 * MINUTE, 6 * MINUTE, MINUTE, [(0, 1), (1, 10), (5, 100)]),
        (0 * MINUTE, 6 * MINUTE, 5 * MINUTE, [(0, 11), (5, 100)]),
        (1 * MINUTE, 6 * MINUTE, 5 * MINUTE, [(1, 110)]),
        (SECOND, 5 * MINUTE, 5 * MINUTE, [(1, 10)]),
        (0 * MINUTE, MINUTE + SECOND, MINUTE, [(0, 1), (1, 10)]),
        (0 * MINUTE, 30 * DAY, 7 * HOUR, [(0, 111), (28 * 24 * 60, 1000)]),
        (0 * MINUTE, 30 * DAY, 40 * DAY, [(0, 1111)]),
        (2 * MINUTE, 2 * MINUTE, MINUTE, []),
        (2 * MINUTE, 0 * MINUTE, MINUTE, []),
    ],
)
async def test_counts_are_summed_over_steps(
    store: Store,
    since: timedelta,
    until: timedelta,
    step: timedelta,
    expected: list[tuple[int, int]],
) -> None:
    minutes = {0: 1, 1: 10, 5: 100, 28 * 24 * 60: 1000}
    await store.history.add_flow([flow(at, "delivered", KEPT, n) for at, n in minutes.items()])
    found = await store.history.flow(FULL_MINUTE + since, FULL_MINUTE + until, step)
    assert found == tuple(flow(at, "delivered", KEPT, count) for at, count in expected)


# What waits


async def test_nothing_waits_in_an_empty_store(store: Store) -> None:
    assert await store.history.waiting() == ()
    assert await store.history.waiting_value("tiktok") == {}


async def test_what_waits_is_told_by_destination_and_state(store: Store) -> None:
    names = [f"m{number}" for number in range(6)]
    await store.append(
        [
            event(name, worth(name, EUR), received_at=NOW + number * SECOND)
            for number, name in enumerate(names)
        ]
    )
    await store.append([event("x", delivery("x", destination="other"), received_at=NOW - HOUR)])
    claims = await store.claim("tiktok", 4, LEASE, NOW + MINUTE)
    ends = [delivered(claims[0]), ended(claims[1], HELD), retried(claims[2], NOW + HOUR)]
    await store.settle(ends, NOW + MINUTE)
    assert await store.history.waiting() == (
        Waiting("other", State.PENDING, 1, NOW - HOUR),
        Waiting("tiktok", State.CLAIMED, 1, NOW + 3 * SECOND),
        Waiting("tiktok", State.HELD, 1, NOW + SECOND),
        Waiting("tiktok", State.PENDING, 3, NOW + 2 * SECOND),  # put off, and yet the oldest
    )
    assert await store.history.waiting_value("tiktok") == {"EUR": 5 * EUR.micros}


async def test_the_oldest_is_found_among_envelopes(store: Store) -> None:
    await store.append([event("a"), event("b", delivery("b", envelope=APP))])
    await store.append(
        [event("c", delivery("c", envelope="third|"), received_at=NOW - MINUTE)],
    )
    assert await store.history.waiting() == (Waiting("tiktok", State.PENDING, 3, NOW - MINUTE),)


async def test_what_a_dead_process_had_claimed_waits_since_it_was_accepted(
    engine: Engine,
) -> None:
    store = await engine.open()
    await store.append([event("a"), event("b", received_at=NOW + SECOND)])
    await store.claim("tiktok", 1, LEASE, NOW + MINUTE)
    await store.close()
    store = await engine.open()
    waiting = await store.history.waiting()  # claimed still, where other nodes may have done it
    assert sum(one.count for one in waiting) == 2
    assert min(one.oldest for one in waiting if one.oldest) == NOW


async def test_what_was_sent_again_waits_since_then(store: Store) -> None:
    await store.append([event("a"), event("b")])
    first, second = await claimed(store)
    await store.settle([ended(first, DEAD), delivered(second)], NOW)
    (kept, _) = (await store.select(Selection(), 0, 10)).events
    await store.requeue([Requeue(kept.id, kept.deliveries[0].record)], NOW + HOUR)
    assert await store.history.waiting() == (Waiting("tiktok", State.PENDING, 1, NOW + HOUR),)


async def test_what_waits_is_worth_the_sum_by_currency(store: Store) -> None:
    await store.append(
        [
            event("a", worth("a", EUR)),
            event("b", worth("b", USD)),
            event("c", worth("c", None)),
            event("d", worth("d", USD), worth("d", EUR, destination="other")),
            event("e", worth("e", EUR), source=CANARY_SOURCE),
        ]
    )
    assert await store.history.waiting_value("tiktok") == {
        "EUR": EUR.micros, "USD": 2 * USD.micros,
    }  # fmt: skip
    ends = {claim.message_id: claim for claim in await claimed(store)}
    await store.settle([delivered(ends["a"]), ended(ends["b"], HELD)], NOW)
    assert await store.history.waiting_value("tiktok") == {"USD": 2 * USD.micros}
    assert await store.history.waiting_value("other") == {"EUR": EUR.micros}
    assert await store.history.waiting_value("nowhere") == {}


async def test_what_is_made_anew_keeps_its_worth(store: Store) -> None:
    unmatched = replace(event("a"), disposition=Disposition.UNMATCHED, deliveries=())
    await store.append([unmatched])
    (kept,) = (await store.select(Selection(), 0, 10)).events
    await store.requeue([Requeue(kept.id, None, worth("a", USD))], NOW)
    assert await store.history.waiting_value("tiktok") == {"USD": USD.micros}


# Reports


BOUNDS = (MINUTE, SECOND)
OUTCOME = OutcomeCount(
    source="default",
    destination="tiktok",
    mapping="Order Completed",
    event_name="CompletePayment",
    state=State.DELIVERED,
    late=SECOND,
    currency="EUR",
    count=1,
    value_micros=EUR.micros,
    longest_seconds=1.0,
)


@pytest.mark.parametrize(
    ("after", "late"),
    [
        (timedelta(), SECOND),
        (-MINUTE, SECOND),  # the clock was set back
        (SECOND, SECOND),
        (SECOND + timedelta(microseconds=1), MINUTE),
        (MINUTE, MINUTE),
        (HOUR, None),
    ],
)
async def test_what_arrived_is_told_by_how_late(
    store: Store, after: timedelta, late: timedelta | None
) -> None:
    await store.append([event("a", worth("a", EUR))])
    (claim,) = await claimed(store)
    await store.settle([delivered(claim)], NOW + after)
    seconds = max(after, timedelta()).total_seconds()
    expected = replace(OUTCOME, late=late, longest_seconds=seconds)
    assert await store.history.outcomes(NOW, NOW + HOUR, BOUNDS) == (expected,)


async def test_outcomes_are_counted_by_all_they_have_in_common(store: Store) -> None:
    await store.append(
        [
            event("a", worth("a", EUR)),
            event("b", worth("b", EUR)),
            event("c", worth("c", USD)),
            event("d", worth("d", None)),
            event("e", worth("e", EUR), source="app"),
            event("f", worth("f", EUR), source=CANARY_SOURCE),
            event("g", replace(worth("g", EUR), event_name="Purchase", mapping="Paid")),
            event("h", worth("h", EUR)),
            event("i", worth("i", EUR), received_at=NOW - SECOND),
            event("j", worth("j", EUR), received_at=NOW + HOUR),
        ]
    )
    ends = {claim.message_id: claim for claim in await claimed(store, NOW + SECOND)}
    dead = ended(ends.pop("h"), DEAD)
    await store.settle([dead, *map(delivered, ends.values())], NOW + SECOND)
    dead_count = replace(OUTCOME, state=State.DEAD, late=None, longest_seconds=0.0)
    found = await store.history.outcomes(NOW, NOW + HOUR, BOUNDS)
    assert set(found) == {
        replace(OUTCOME, source="app"),
        dead_count,
        replace(OUTCOME, count=2, value_micros=2 * EUR.micros),
        replace(OUTCOME, currency="USD", value_micros=USD.micros),
        replace(OUTCOME, currency=None, value_micros=0),
        replace(OUTCOME, event_name="Purchase", mapping="Paid"),
    }
    assert len(found) == 6


async def test_without_bounds_nothing_is_late(store: Store) -> None:
    await store.append([event("a")])
    (only,) = await store.history.outcomes(NOW, NOW + HOUR, ())
    assert (only.state, only.late, only.count) == (State.PENDING, None, 1)


async def test_many_outcomes_are_added_up_over_pages(store: Store) -> None:
    names = [f"m{number}" for number in range(12_000)]
    await store.append([event(name, worth(name, EUR)) for name in names])
    (only,) = await store.history.outcomes(NOW, NOW + HOUR, BOUNDS)
    assert (only.count, only.value_micros) == (12_000, 12_000 * EUR.micros)


async def test_the_course_of_a_time_is_told_in_steps(store: Store) -> None:
    await store.append(
        [
            event("before", received_at=NOW - HOUR),
            event("a"),
            event("b", received_at=NOW + 59 * SECOND),
            event("c", received_at=NOW + 3 * MINUTE),
            event("canary", source=CANARY_SOURCE),
            event("after", received_at=NOW + HOUR),
        ]
    )
    ends = {claim.message_id: claim for claim in await claimed(store, NOW + 3 * MINUTE)}
    await store.settle([delivered(ends["a"]), delivered(ends["canary"])], NOW + 10 * SECOND)
    await store.settle([delivered(ends["before"])], NOW + 5 * MINUTE)
    await store.settle([ended(ends["b"], DEAD)], NOW + 5 * MINUTE)
    await store.settle([delivered(ends["c"])], NOW + HOUR)
    assert await store.history.moments(NOW, NOW + HOUR, MINUTE) == (
        Moment(NOW, 2, 1),
        Moment(NOW + 3 * MINUTE, 1, 0),
        Moment(NOW + 5 * MINUTE, 0, 1),
    )
    assert await store.history.moments(NOW + DAY, NOW + 2 * DAY, MINUTE) == ()


# Alerts and configurations


ALERT = AlertRecord(
    id=0,
    rule="backlog_age",
    subject="tiktok",
    severity="critical",
    opened_at=NOW,
    notified_at=NOW,
    resolved_at=None,
    summary="Events wait for 20 minutes",
    advice="Look at the lane",
    facts={"events": 12, "value": 1.5, "lane": "open", "since": None},
)


async def test_an_alert_is_kept_changed_and_resolved(engine: Engine) -> None:
    store = await engine.open()
    number = await store.history.keep_alert(ALERT)
    again = replace(ALERT, id=number, notified_at=NOW + HOUR, summary="Still", facts={})
    assert await store.history.keep_alert(again) == number
    assert await store.history.alerts(10) == (again,)
    resolved = replace(again, resolved_at=NOW + 2 * HOUR)
    assert await store.history.keep_alert(resolved) == number
    await store.close()
    store = await engine.open()
    assert await store.history.alerts(10) == (resolved,)
    assert await store.history.keep_alert(ALERT) > number


async def test_one_alert_is_open_for_a_rule_and_subject(store: Store) -> None:
    number = await store.history.keep_alert(ALERT)
    later = replace(ALERT, opened_at=NOW + HOUR)
    assert await store.history.keep_alert(later) == number
    assert await store.history.alerts(10) == (replace(later, id=number),)
    assert await store.history.keep_alert(replace(ALERT, subject="other")) != number


async def test_every_open_alert_is_told_and_the_newest_of_the_others(store: Store) -> None:
    kept = [
        replace(ALERT, subject=str(number), opened_at=NOW + number * SECOND,
                resolved_at=NOW + DAY if number % 2 else None)
        for number in range(6)
    ]  # fmt: skip
    for alert in kept:
        await store.history.keep_alert(alert)
    told = {limit: await store.history.alerts(limit) for limit in (0, 4, 10)}
    assert [one.subject for one in told[10]] == ["5", "4", "3", "2", "1", "0"]
    assert [one.subject for one in told[4]] == ["5", "4", "2", "0"]
    assert [one.subject for one in told[0]] == ["4", "2", "0"]


VERSION = VersionRecord(0, NOW, "start", "abc", '{"service":{"admin_token":"${RELAY_TOKEN}"}}')


async def test_configurations_are_kept_newest_first(engine: Engine) -> None:
    store = await engine.open()
    second = replace(VERSION, cause="rollback", fingerprint="def", rolled_back="abc")
    first_id = await store.history.keep_version(VERSION)
    second_id = await store.history.keep_version(second)
    await store.close()
    store = await engine.open()
    kept = replace(VERSION, id=first_id), replace(second, id=second_id)
    assert await store.history.versions(10) == kept[::-1]
    assert await store.history.versions(1) == kept[1:]
    assert await store.history.version(first_id) == kept[0]
    assert await store.history.version(second_id + 1) is None
    assert "RELAY_TOKEN" not in repr(kept[0])


async def test_what_a_configuration_refused_is_kept_with_it(store: Store) -> None:
    history = store.history
    number = await history.keep_version(replace(VERSION, rolled_back="def"))
    await history.keep_version(VERSION)
    for refused in ("ghi", "jkl"):
        present = replace(VERSION, id=number, rolled_back="def", refused=refused)
        assert await history.keep_version(present) == number
        assert await history.version(number) == present
    assert [one.refused for one in await history.versions(10)] == [None, "jkl"]


# Retention, sizes, and the end


async def test_requests_go_with_time_and_their_numbers_do_not_come_back(store: Store) -> None:
    await store.append([event("a"), event("b")])
    (first, second) = await claimed(store)
    await store.settle([ended(first, HELD)], NOW, REFUSED)
    await store.settle([retried(second, NOW)], NOW, SILENT)
    await swept(store, NOW + 30 * DAY)
    everything = (NOW - DAY, NOW + 100 * DAY, 10)
    assert len(await store.history.requests(*everything)) == 2
    await swept(store, NOW + 31 * DAY)
    later = replace(REQUEST, sent_at=NOW + 31 * DAY)
    await store.settle([], NOW + 31 * DAY, later)
    await swept(store, NOW + 31 * DAY)
    assert await store.history.requests(*everything) == (later,)
    assert await store.history.attempts(first.id) == ()


async def test_counts_alerts_and_configurations_go_with_time(store: Store) -> None:
    history = store.history
    await history.add_flow([flow(at, "delivered", KEPT, 1) for at in range(600)])
    resolved = replace(ALERT, resolved_at=NOW + DAY)
    await history.keep_alert(resolved)
    open_id = await history.keep_alert(ALERT)
    for number in range(201):
        await history.keep_version(replace(VERSION, fingerprint=str(number)))
    await swept(store, FULL_MINUTE + 35 * DAY + 599 * MINUTE)
    kept = await history.flow(FULL_MINUTE, FULL_MINUTE + DAY, MINUTE)
    assert kept == (flow(599, "delivered", KEPT, 1),)
    await swept(store, NOW + 91 * DAY - SECOND)
    assert len(await history.alerts(10)) == 2
    await swept(store, NOW + 91 * DAY)
    assert await history.alerts(10) == (replace(ALERT, id=open_id),)
    assert [one.fingerprint for one in await history.versions(300)] == [
        str(number) for number in range(200, 0, -1)
    ]


async def test_sizes_are_told_in_bytes(store: Store) -> None:
    await store.append([event("a")])
    sizes = await store.history.sizes()
    assert sizes["database"] > 0
    assert sizes["log"] >= 0


async def test_the_load_is_told(store: Store) -> None:
    before = store.load
    await store.append([event("a")])
    assert store.load.waiting_events == store.load.waiting_bytes == 0
    assert store.load.commits == before.commits + 1


async def test_a_closed_store_tells_nothing_more(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        await store.history.waiting()
    with pytest.raises(StoreUnavailable, match="the store is closed"):
        await store.history.keep_alert(ALERT)
