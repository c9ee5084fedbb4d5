"""What every store promises, shown through the port alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta, timezone

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.plan import Note
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    Receipt,
    Settlement,
    Store,
)
from service.store.conftest import Engine
from service.store.examples import APP, LEASE, NOW, WEB, delivered, delivery, event, retried

SECOND = timedelta(seconds=1)


def ids(claims: Sequence[ClaimedDelivery]) -> list[str]:
    return [claim.message_id for claim in claims]


async def only_claim(store: Store) -> ClaimedDelivery:
    (claim,) = await store.claim("tiktok", 10, LEASE, NOW)
    return claim


async def test_append_says_for_each_event_whether_it_is_new(store: Store) -> None:
    assert await store.append([event("a"), event("b")]) == Receipt((True, True))
    assert await store.append([event("c"), event("a")]) == Receipt((True, False))
    assert len(await store.deliveries(["a", "b", "c"])) == 3


async def test_a_key_twice_in_one_call_is_kept_once(store: Store) -> None:
    first = event("a", delivery("a", body=b"first"))
    second = event("a", delivery("a", body=b"second"))
    assert await store.append([first, second]) == Receipt((True, False))
    assert (await only_claim(store)).body == b"first"


async def test_the_same_message_id_of_two_sources_is_two_events(store: Store) -> None:
    receipt = await store.append([event("a", source="shop"), event("a", source="app")])
    assert receipt.accepted == 2
    assert len(await store.deliveries(["a"])) == 2


async def test_no_events_are_no_work(store: Store) -> None:
    assert await store.append([]) == Receipt(())


async def test_concurrent_copies_of_an_event_are_kept_once(store: Store) -> None:
    receipts = await asyncio.gather(*(store.append([event("a")]) for _ in range(20)))
    assert sum(receipt.accepted for receipt in receipts) == 1


async def test_unusual_keys_are_told_apart(store: Store) -> None:
    keys = [
        "",
        " ",
        "a\x00b",
        "a\x00c",
        "'",
        '"',
        "\\",
        "\u00e9",
        "e\u0301",
        "😀",
        "[1]",
        "x" * 5000,
    ]
    assert (await store.append([event(key) for key in keys])).accepted == len(keys)
    assert (await store.append([event(key) for key in keys])).accepted == 0
    assert set(ids(await store.claim("tiktok", 100, LEASE, NOW))) == set(keys)


async def test_events_without_deliveries_count_by_disposition(store: Store) -> None:
    note = Note("tiktok", "Order Completed", "value", "must be a number")
    unmatched = replace(event("u"), disposition=Disposition.UNMATCHED, deliveries=())
    rejected = replace(
        event("r"), disposition=Disposition.REJECTED, deliveries=(), rejections=(note,)
    )
    quarantined = replace(
        event("q"), type="", disposition=Disposition.QUARANTINED, deliveries=(), reason="no JSON"
    )
    suppressed = replace(rejected, message_id="s", disposition=Disposition.SUPPRESSED)
    await store.append([unmatched, rejected, quarantined, suppressed, event("p")])
    totals = await store.totals()
    assert totals.events == dict.fromkeys(Disposition, 1)
    assert totals.deliveries == {("tiktok", State.PENDING): 1}


async def test_a_claim_gives_back_everything_that_was_kept(store: Store) -> None:
    planned = replace(delivery("a", body=b"\x00\xffbody"), event_id=None)
    paris = timezone(timedelta(hours=1))
    await store.append([event("a", planned, received_at=NOW.astimezone(paris))])
    claim = await only_claim(store)
    assert claim == ClaimedDelivery(
        id=claim.id,
        fence=claim.fence,
        destination="tiktok",
        mapping="Order Completed",
        message_id="a",
        envelope=WEB,
        event_name="CompletePayment",
        event_id=None,
        body=b"\x00\xffbody",
        attempts=1,
        accepted_at=NOW,
        first_unknown_at=None,
        source="default",
    )


async def test_claims_come_oldest_due_first_and_within_the_limit(store: Store) -> None:
    for name, age in (("young", 1), ("old", 3), ("middle", 2)):
        await store.append([event(name, received_at=NOW - age * SECOND)])
    assert await store.claim("tiktok", 0, LEASE, NOW) == ()
    assert ids(await store.claim("tiktok", 2, LEASE, NOW)) == ["old", "middle"]
    assert ids(await store.claim("tiktok", 2, LEASE, NOW)) == ["young"]
    assert await store.claim("tiktok", 2, LEASE, NOW) == ()


async def test_what_is_due_at_the_same_moment_comes_in_the_order_it_was_kept(store: Store) -> None:
    names = [f"m{number}" for number in range(300)]
    await store.append([event(name) for name in names])
    assert ids(await store.claim("tiktok", 1000, LEASE, NOW)) == names


async def test_a_claim_is_of_one_envelope_which_the_oldest_decides(store: Store) -> None:
    await store.append(
        [
            event("w1", received_at=NOW - 2 * SECOND),
            event("a1", delivery("a1", envelope=APP), received_at=NOW - 3 * SECOND),
            event("a2", delivery("a2", envelope=APP), received_at=NOW - SECOND),
        ]
    )
    first = await store.claim("tiktok", 10, LEASE, NOW)
    assert (ids(first), {claim.envelope for claim in first}) == (["a1", "a2"], {APP})
    second = await store.claim("tiktok", 10, LEASE, NOW)
    assert (ids(second), {claim.envelope for claim in second}) == (["w1"], {WEB})


async def test_a_claim_is_of_one_destination(store: Store) -> None:
    await store.append([event("a", delivery("a"), delivery("a", destination="other"))])
    assert await store.claim("nowhere", 10, LEASE, NOW) == ()
    (claim,) = await store.claim("other", 10, LEASE, NOW)
    assert claim.destination == "other"
    assert len(await store.claim("tiktok", 10, LEASE, NOW)) == 1


async def test_what_is_not_due_is_not_claimed(store: Store) -> None:
    await store.append([event("a", received_at=NOW)])
    assert await store.claim("tiktok", 10, LEASE, NOW - timedelta(microseconds=1)) == ()
    assert len(await store.claim("tiktok", 10, LEASE, NOW)) == 1


async def test_concurrent_claims_never_share_a_delivery(store: Store) -> None:
    await store.append([event(f"m{number}") for number in range(100)])
    claims = await asyncio.gather(*(store.claim("tiktok", 15, LEASE, NOW) for _ in range(8)))
    claimed = [claim.id for part in claims for claim in part]
    assert len(claimed) == len(set(claimed)) == 100


async def test_next_due_is_the_next_retry_or_end_of_a_lease(store: Store) -> None:
    assert await store.next_due("tiktok") is None
    await store.append([event("a"), event("b", delivery("b", envelope=APP))])
    assert await store.next_due("tiktok") == NOW
    assert await store.next_due("other") is None
    web = await store.claim("tiktok", 1, LEASE, NOW)
    app = await store.claim("tiktok", 1, LEASE * 2, NOW)
    assert await store.next_due("tiktok") == NOW + LEASE
    await store.settle([delivered(web[0])], NOW)
    assert await store.next_due("tiktok") == NOW + LEASE * 2
    await store.settle([retried(app[0], NOW + SECOND)], NOW)
    assert await store.next_due("tiktok") == NOW + SECOND


async def test_deliveries_of_events_nobody_knows_are_none(store: Store) -> None:
    assert await store.deliveries([]) == ()
    assert await store.deliveries(["nobody"]) == ()


async def test_deliveries_come_once_each_in_the_order_they_were_kept(store: Store) -> None:
    two = event("b", delivery("b"), delivery("b", destination="other"))
    await store.append([two, event("a")])
    records = await store.deliveries(["a", "b", "a", "nobody"])
    found = [(record.message_id, record.destination) for record in records]
    assert found == [("b", "tiktok"), ("b", "other"), ("a", "tiktok")]
    assert {record.event_name for record in records} == {"CompletePayment"}


async def test_opening_again_finds_everything(engine: Engine) -> None:
    store = await engine.open()
    await store.append([event("done"), event("waits"), event("refused")])
    done, waits, refused = await store.claim("tiktok", 10, LEASE, NOW)
    dead = Settlement(
        refused.id, refused.fence, Transition(State.DEAD, Cause.REFUSED, reason="no")
    )
    await store.settle([delivered(done), retried(waits, NOW + SECOND, NOW), dead], NOW)
    before = (await store.totals(), await store.deliveries(["done", "waits", "refused"]))
    await store.close()
    store = await engine.open()
    assert (await store.totals(), await store.deliveries(["done", "waits", "refused"])) == before
    assert (await store.append([event("done"), event("new")])).fresh == (False, True)
    (claim, _) = sorted(await store.claim("tiktok", 10, LEASE, NOW + LEASE), key=lambda c: c.id)
    assert (claim.message_id, claim.attempts, claim.first_unknown_at) == ("waits", 2, NOW)


async def test_a_store_that_can_write_has_no_trouble(store: Store) -> None:
    assert store.trouble() is None
    await store.append([event("a")])
    assert store.trouble() is None


async def test_a_closed_store_does_nothing(store: Store) -> None:
    await store.close()
    await store.close()
    attempts = [
        store.append([event("a")]),
        store.claim("tiktok", 1, LEASE, NOW),
        store.settle([], NOW),
        store.next_due("tiktok"),
        store.totals(),
        store.deliveries(["a"]),
    ]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailable] * len(attempts)


async def test_close_finishes_what_was_queued(engine: Engine) -> None:
    store = await engine.open()
    appends = [asyncio.ensure_future(store.append([event(f"m{n}")])) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert sum([(await append).accepted for append in appends]) == 50
    store = await engine.open()
    assert (await store.totals()).deliveries == {("tiktok", State.PENDING): 50}
