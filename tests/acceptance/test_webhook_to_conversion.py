"""The whole way: what Segment posts, through the service, into the sandbox's ledger."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from pathlib import Path

import orjson
import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import Fault, parse_fault
from support.events import NAMES, order, track
from support.running import bodies, world

RECORDED = Path(__file__).parent / "recorded" / "segment_webhook.ndjson"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def test_the_documentation_s_own_examples(tmp_path: Path) -> None:
    events = [track(name, f"m-{name}") for name in NAMES]
    page: JsonObject = {"type": "page", "messageId": "m-page", "name": "Home", "properties": {}}
    async with world(tmp_path) as here:
        for event in [*events, page]:
            answer = await here.post(event)
            assert answer.status_code == 200
            assert answer.json()["accepted"] == 1
        conversions = await here.settled()
    expected = {(NAMES[name], f"m-{name}") for name in NAMES} | {("ViewContent", "m-page")}
    assert {(one.event, one.event_id) for one in conversions} == expected
    assert all(one.copies == 0 for one in conversions)


async def test_the_body_is_what_tiktok_documents(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.post(order("m-1"))
        await here.settled()
        (body,) = bodies(here.sandbox)
    assert body == {
        "event": "PlaceAnOrder",
        "event_time": 1795169730,
        "event_id": "m-1",
        "user": {
            "external_id": [_sha256("buyer-311")],
            "phone": [_sha256("+49301234567")],
            "email": [_sha256("lena.brandt@example.com")],
            "first_name": _sha256("lena"),
            "last_name": _sha256("brandt"),
            "city": "berlin",
            "country": "de",
            "zip_code": _sha256("10115"),
            "ttclid": "click-1",
            "ip": "203.0.113.7",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
            "locale": "de-DE",
        },
        "properties": {
            "contents": [
                {
                    "price": 29.95,
                    "quantity": 2,
                    "content_id": "lamp-1",
                    "content_name": "Lamp",
                    "brand": "Lumo",
                }
            ],
            "content_type": "product",
            "currency": "EUR",
            "value": 59.9,
            "query": "lamp",
            "order_id": "order-77",
        },
        "page": {
            "url": "https://shop.example.com/a?ttclid=click-1",
            "referrer": "https://example.org/",
        },
        "limited_data_use": False,
    }


async def test_a_custom_mapping_sends_complete_registration_by_its_name(tmp_path: Path) -> None:
    mappings = [
        {
            "name": "Registration",
            "subscribe": 'event = "Signed Up"',
            "partnerAction": "reportWebEvent",
            "mapping": {
                "event": {"@literal": "CompleteRegistration"},
                "event_id": {"@path": "$.messageId"},
                "timestamp": {"@path": "$.timestamp"},
                "external_id": {"@path": "$.userId"},
            },
        }
    ]
    file = tmp_path / "mappings.json"
    file.write_bytes(orjson.dumps(mappings))
    async with world(tmp_path, RELAY_MAPPINGS=str(file)) as here:
        await here.post(track("Signed Up", "m-1"))
        (conversion,) = await here.settled()
    assert (conversion.event, conversion.event_id) == ("CompleteRegistration", "m-1")


@pytest.mark.parametrize("size", [60, 1000, 4000])
async def test_batches_arrive_once(tmp_path: Path, size: int) -> None:
    names = list(NAMES)
    events: list[Json] = [track(names[n % 6], f"m-{n}") for n in range(size)]
    async with world(tmp_path) as here:
        answer = await here.post(events)
        assert answer.json()["accepted"] == size
        again = await here.post(events)
        assert again.json() == answer.json() | {
            "accepted": 0, "duplicates": size, "planned": 0
        }  # fmt: skip
        conversions = await here.settled()
        requests = here.sandbox.journal.written
    assert Counter(one.event_id for one in conversions) == Counter(f"m-{n}" for n in range(size))
    assert all(one.copies == 0 for one in conversions)
    assert requests <= size / 1000 + 4, "they go in batches"


async def test_what_the_sandbox_got_is_what_was_planned(tmp_path: Path) -> None:
    """Many events in random batches with repeats: none missing, none twice, none invented."""
    rng = random.Random(20261121)  # noqa: S311 - a seeded test
    ids = [f"m-{n}" for n in range(300)]
    posted = ids + rng.choices(ids, k=100)
    rng.shuffle(posted)
    async with world(tmp_path) as here:
        while posted:
            chunk = [posted.pop() for _ in range(min(len(posted), rng.randint(1, 40)))]
            answer = await here.post([order(one) for one in chunk])
            assert answer.status_code == 200
        conversions = await here.settled()
        status = await here.status()
    assert sorted(str(one.event_id) for one in conversions) == sorted(ids)
    assert all(one.copies == 0 and one.altered_copies == 0 for one in conversions)
    assert status["events"]["planned"] == 300
    assert status["deliveries"]["tiktok"] == {"delivered": 300}  # type: ignore[comparison-overlap]


async def test_requests_recorded_from_segment_s_own_client(tmp_path: Path) -> None:
    """Bytes and signatures as Segment's published Webhook destination made them."""
    requests = [orjson.loads(line) for line in RECORDED.read_bytes().splitlines()]
    async with world(
        tmp_path, SEGMENT_SHARED_SECRET="recorded-secret", RELAY_BEARER_TOKEN="recorded-token"
    ) as here:
        for request in requests:
            answer = await here.client.post(
                "/webhook/default", content=request["body"].encode(), headers=request["headers"]
            )
            assert answer.status_code == 200
        conversions = await here.settled()
    assert {one.event_id for one in conversions} == {
        "rec-0000",
        "rec-0001",
        "rec-0002",
        "rec-page",
    }
    assert all(one.copies == 0 for one in conversions)


async def test_a_poisoned_batch_costs_the_others_nothing(tmp_path: Path) -> None:
    events: list[Json] = [order(f"m-{n}") for n in range(50)]
    async with world(tmp_path) as here:
        here.sandbox.faults.switch_on(
            [_fault("reject_event_id=m-17,spelling=anonymous")],
        )
        await here.post(events)
        conversions = await here.settled()
        status = await here.status()
        requests = here.sandbox.journal.written
    assert {one.event_id for one in conversions} == {f"m-{n}" for n in range(50) if n != 17}
    assert all(one.copies == 0 for one in conversions)
    assert status["deliveries"]["tiktok"] == {"delivered": 49, "dead": 1}  # type: ignore[comparison-overlap]
    assert requests <= 13


@pytest.mark.parametrize(
    "fault",
    [
        "server_error=503,count=2",
        "throttle=0,count=2",
        "token_revoked,count=1",
        "reset,count=2",
        "accept_then_reset,count=1",
        "garbage,count=1",
        "big_body=200000,count=1",
        "gzip_bomb=1000000,count=1",
        "redirect,count=1",
        "reject_index=0,count=1",
    ],
)
async def test_after_a_fault_everything_arrives_once(tmp_path: Path, fault: str) -> None:
    """What TikTok did not take goes again, and what it took twice it counts once."""
    async with world(tmp_path) as here:
        here.sandbox.faults.switch_on([_fault(fault)])
        await here.post([order("m-1"), order("m-2")])
        conversions = await here.settled_by_an_operator()
    refused = {"m-1"} if fault.startswith("reject") else set()
    assert {one.event_id for one in conversions} == {"m-1", "m-2"} - refused
    assert all(one.altered_copies == 0 for one in conversions)


def _fault(text: str) -> Fault:
    return parse_fault(text)
