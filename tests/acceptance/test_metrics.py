"""Events of every fate through the whole service, and every counter afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from conversion_relay.core.values import Json
from conversion_relay.sandbox import parse_fault
from conversion_relay.service.metrics.catalogue import COUNTERS, GAUGES, HISTOGRAMS
from support.events import order, track
from support.running import World, world

PERSONAL = (
    *("lena", "brandt", "example.com", "49301234567", "+49 30", "203.0.113.7", "click-1", "10115"),
    *("buyer-311", "anonymous-9f", "order-77", "m-", "Mozilla"),
)
TOML = """
[sources.shop]
signing_secrets = ["env:SEGMENT_SHARED_SECRET"]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
write_keys = ["env:SHOP_KEY"]
destinations = ["tiktok"]

[sources.lab]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
destinations = ["strict", "bare"]
match_keys = true

[destinations.tiktok]
pixel_code = "PIXEL"
api_url = "SANDBOX"
access_token = "env:TIKTOK_ACCESS_TOKEN"

[destinations.strict]
pixel_code = "STRICT"
api_url = "SANDBOX"
access_token = "env:TIKTOK_ACCESS_TOKEN"
on_invalid_field = "reject"

[destinations.bare]
pixel_code = "BARE"
api_url = "SANDBOX"
access_token = "env:TIKTOK_ACCESS_TOKEN"
mappings = "MAPPINGS"

[canary]
enabled = false
"""
WITHOUT_AN_ID = {
    "name": "Without an id",
    "subscribe": 'event = "Bare"',
    "partnerAction": "reportWebEvent",
    "mapping": {
        "event": {"@template": "{{properties.name}}"},
        "event_source": "web",
        "email": {"@path": "$.context.traits.email"},
    },
}
"""Whose deliveries TikTok could not recognise again, under names that events make up."""
WHERE = 'source="shop",destination="tiktok",mapping="Place an Order"'
CART = 'source="shop",destination="tiktok",mapping="Add to Cart",event="AddToCart"'
BARE = 'source="lab",destination="bare",mapping="Without an id"'
LAB = 'source="lab",destination="strict",mapping="Place an Order"'
SETTLED = f'relay_deliveries_settled{{{WHERE},event="PlaceAnOrder",state='
EXPECTED: Mapping[str, float] = {
    # at the door
    'relay_events_kept{source="shop",disposition="planned"}': 6,
    'relay_events_kept{source="shop",disposition="unmatched"}': 2,
    'relay_events_kept{source="shop",disposition="suppressed"}': 1,
    'relay_events_kept{source="shop",disposition="quarantined"}': 1,
    'relay_events_kept{source="lab",disposition="rejected"}': 1,
    'relay_events_kept{source="lab",disposition="planned"}': 1,
    'relay_events_duplicate{source="shop"}': 1,
    'relay_requests_refused{source="shop",problem="unauthorized"}': 1,
    'relay_requests_refused{source="unknown",problem="unknown-source"}': 1,
    'relay_users_forgotten{by="event"}': 1,
    # of the mappings
    f'relay_deliveries_planned{{{WHERE},event="PlaceAnOrder"}}': 5,
    f"relay_deliveries_planned{{{CART}}}": 1,
    f'relay_mapping_warnings{{{WHERE},field="currency"}}': 1,
    f'relay_mapping_rejections{{{LAB},field="contents.*.price"}}': 1,
    f'relay_mapping_suppressions{{{WHERE},field="integrations"}}': 1,
    # on the way
    f'{SETTLED}"delivered"}}': 4,
    f'{SETTLED}"pending"}}': 1,
    f'{SETTLED}"held"}}': 1,
    f'{SETTLED}"dead"}}': 1,
    f'relay_deliveries_settled{{{CART},state="delivered"}}': 1,
    f'relay_deliveries_planned{{{BARE},event="other"}}': 1,
    f'relay_deliveries_settled{{{BARE},event="other",state="uncertain"}}': 1,
    'relay_destination_requests{destination="bare",result="unknown"}': 1,
    'relay_destination_codes{destination="bare",code="none"}': 1,
    'relay_destination_requests{destination="tiktok",result="accepted"}': 5,
    'relay_destination_requests{destination="tiktok",result="credentialproblem"}': 1,
    'relay_destination_requests{destination="tiktok",result="throttled"}': 1,
    'relay_destination_requests{destination="tiktok",result="refused"}': 1,
    'relay_destination_codes{destination="tiktok",code="0"}': 5,
    'relay_destination_codes{destination="tiktok",code="40002"}': 1,
    'relay_destination_codes{destination="tiktok",code="40100"}': 1,
    'relay_destination_codes{destination="tiktok",code="40105"}': 1,
}
"""Every counter that moves, as it stands at the end."""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    mappings = tmp_path / "bare.json"
    mappings.write_bytes(orjson.dumps([WITHOUT_AN_ID]))
    toml = TOML.replace("MAPPINGS", str(mappings))
    async with world(tmp_path, toml=toml, SHOP_KEY="shop-key") as running:
        yield running


async def shown(here: World) -> dict[str, float]:
    """Every sample: its name with its labels in the order of the catalogue, without `_total`."""
    text = (await here.client.get("/metrics")).text
    return {
        _written(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _written(name: str, labels: Mapping[str, str]) -> str:
    name = name.removesuffix("_total")
    shape = COUNTERS.get(name) or GAUGES.get(name)
    pairs = ",".join(f'{label}="{labels[label]}"' for label in (shape.labels if shape else labels))
    return f"{name}{{{pairs}}}" if pairs else name


async def post(here: World, *events: Json, fault: str | None = None, source: str = "shop") -> None:
    """Posts each by itself while the fault is on, and has lanes tried until all has settled."""
    if fault is not None:
        here.sandbox.faults.switch_on([parse_fault(fault)])
    for event in events:
        answer = await here.post(event, path=f"/webhook/{source}")
        assert answer.status_code == 200
        await here.settled_by_an_operator()
    here.sandbox.faults.switch_off()


async def every_fate(here: World) -> None:
    """Events and requests, each with a fate of its own."""
    await post(here, order("m-delivered"), order("m-delivered"))
    await post(here, track("Product Added", "m-cart"))
    await post(here, order("m-warned", properties={"currency": "XXX"}))
    await post(here, track("Nothing of ours", "m-unmatched"), 5)
    await post(here, order("m-suppressed", integrations={"All": False}))
    await post(here, order("m-retried"), fault="throttle_code,count=1")
    await post(here, order("m-held"), fault="token_revoked,count=1")
    await post(here, order("m-dead"), fault="reject_index=0,count=1")
    bare = track("Bare", "m-uncertain", properties={"name": "Lena Brandt"})
    await post(here, bare, fault="accept_then_reset,count=1", source="lab")
    await post(here, order("m-rejected", properties={"products": [{"price": "x"}]}), source="lab")
    await here.post(order("m-0"), secret="wrong", bearer=None, path="/webhook/shop")
    await here.post(order("m-0"), path="/webhook/nope")
    await here.post({"type": "delete", "messageId": "m-x", "userId": "u"}, path="/webhook/shop")


async def test_every_fate_is_counted(here: World) -> None:
    await every_fate(here)
    async with asyncio.timeout(20):
        while _moved(found := await shown(here)) != EXPECTED:
            if sum(_moved(found).values()) > sum(EXPECTED.values()):
                break  # too much: more time does not mend that
            await asyncio.sleep(0.05)
    assert _moved(found) == EXPECTED
    assert found['relay_delivery_seconds_count{destination="tiktok"}'] == 5
    assert found['relay_destination_request_seconds_count{destination="tiktok"}'] == 8
    assert found['relay_request_seconds_count{way="webhook"}'] == 15
    assert found['relay_request_seconds_count{way="tracking"}'] == 0
    assert found['relay_lane_condition{destination="tiktok",condition="flowing"}'] == 1
    text = (await here.client.get("/metrics")).text.lower()
    assert [value for value in PERSONAL if value.lower() in text] == []
    lines = str(here.log.lines).lower()
    assert [value for value in PERSONAL if value.lower() in lines] == ["m-"], "ids of messages"


def _moved(found: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in found.items() if value and _bare(name) in COUNTERS}


def _bare(name: str) -> str:
    return name.partition("{")[0]


async def test_the_tracking_api_is_timed_too(here: World) -> None:
    body = {**order("m-1"), "writeKey": "shop-key"}
    answer = await here.client.post("/v1/track", json=body)
    assert answer.status_code == 200
    found = await shown(here)
    assert found['relay_request_seconds_count{way="tracking"}'] == 1
    assert found['relay_events_kept{source="shop",disposition="planned"}'] == 1


async def test_every_gauge_shows_the_service(here: World) -> None:
    """Whoever looks at the service every few seconds has them shown."""
    await post(here, order("m-1"))
    everywhere = {*GAUGES} - {
        *("relay_alerts_open", "relay_canary_last_success_timestamp_seconds"),
        *("relay_configuration_version", "relay_configuration_last_success_timestamp_seconds"),
    }
    everywhere |= {f"{name}_count" for name in HISTOGRAMS}  # of the delivery: after its commit
    async with asyncio.timeout(20):
        found = await shown(here)
        while not everywhere <= {_bare(name) for name in found}:
            await asyncio.sleep(0.1)
            found = await shown(here)
    assert found["relay_store_database_bytes"] > 0
    assert 0 < found["relay_disk_free_bytes"] <= found["relay_disk_size_bytes"]
    assert found["relay_store_commit_seconds_count"] > 0
