"""The preset files: what triggers what, that they compile, and that no event counts twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import orjson
import pytest

from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.plan import Plan, Target, plan
from conversion_relay.core.preset import Preset, PresetDefinition, compile_presets
from conversion_relay.core.values import JsonObject
from conversion_relay.destinations.tiktok.fields import FIELDS
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings

FOLDER = Path(__file__).parents[2] / "presets"
NOW = datetime(2026, 1, 10, tzinfo=UTC)


class PresetRow(TypedDict):
    """A preset in Segment's own form."""

    name: str
    subscribe: str
    partnerAction: str
    mapping: JsonObject


class PresetFile(TypedDict):
    """One file of `presets/`."""

    title: str
    destination: str
    presets: list[PresetRow]


FILES = {
    "tiktok-conversions": {
        "Product Added": "AddToCart",
        "Order Completed": "PlaceAnOrder",
        "Products Searched": "Search",
        "Checkout Started": "InitiateCheckout",
        "Payment Info Entered": "AddPaymentInfo",
        "Product Added to Wishlist": "AddToWishlist",
        "page": "ViewContent",
    },
    "tiktok-conversions-current": {
        "Order Completed": "CompletePayment",
        "Callback Started": "Contact",
        "Subscription Created": "Subscribe",
        "Form Submitted": "SubmitForm",
        "page": "PageView",
        "Product Viewed": "ViewContent",
        "Product Clicked": "ClickButton",
        "Products Searched": "Search",
        "Product Added to Wishlist": "AddToWishlist",
        "Product Added": "AddToCart",
        "Checkout Started": "InitiateCheckout",
        "Payment Info Entered": "AddPaymentInfo",
        "Order Placed": "PlaceAnOrder",
        "Download Link Clicked": "Download",
        "Signed Up": "CompleteRegistration",
    },
}
FILES["tiktok-standard-events"] = FILES["tiktok-conversions-current"] | {
    "Order Completed": "Purchase",
    "Form Submitted": "Lead",
    "Trial Started": "StartTrial",
    "Application Submitted": "SubmitApplication",
    "Application Approved": "ApplicationApproval",
    "Appointment Scheduled": "Schedule",
    "Location Searched": "FindLocation",
    "Product Customized": "CustomizeProduct",
}
EVERY_TRIGGER = sorted({name for triggers in FILES.values() for name in triggers})


def read(file: str) -> PresetFile:
    content: PresetFile = json.loads((FOLDER / f"{file}.json").read_text("utf-8"))
    return content


DESTINATION = TikTokDestination(TikTokSettings("PIXEL"))


def compiled(file: str) -> tuple[Preset, ...]:
    definitions = [
        PresetDefinition(row["name"], row["subscribe"], row["partnerAction"], row["mapping"])
        for row in read(file)["presets"]
    ]
    return compile_presets(definitions, DESTINATION.actions, file)


TARGETS = {file: Target("tiktok", DESTINATION, compiled(file)) for file in FILES}


def plan_of(file: str, trigger: str, **properties: object) -> Plan:
    payload: JsonObject = {"messageId": "m-1", "timestamp": "2026-01-05T10:00:00Z"}
    payload |= {"type": "page"} if trigger == "page" else {"type": "track", "event": trigger}
    payload["properties"] = orjson.loads(orjson.dumps(properties))
    event = SegmentEvent.parse(payload)
    assert isinstance(event, SegmentEvent)
    return plan(event, [TARGETS[file]], NOW)


@pytest.mark.parametrize("file", FILES)
def test_a_file_is_in_segments_form(file: str) -> None:
    content = read(file)
    assert list(content) == ["title", "destination", "presets"]
    assert content["destination"] == "tiktok"
    for row in content["presets"]:
        assert list(row) == ["name", "subscribe", "partnerAction", "mapping"]
        assert row["partnerAction"] == "reportWebEvent"


def test_there_is_no_other_file() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{file}.json" for file in FILES}


@pytest.mark.parametrize("trigger", EVERY_TRIGGER)
@pytest.mark.parametrize("file", FILES)
def test_each_event_leads_to_its_one_conversion(file: str, trigger: str) -> None:
    planned = plan_of(file, trigger)
    expected = [FILES[file][trigger]] if trigger in FILES[file] else []
    assert [delivery.event_name for delivery in planned.deliveries] == expected
    assert planned.warnings == ()
    assert planned.rejections == ()
    assert len(read(file)["presets"]) == len(FILES[file])


@pytest.mark.parametrize("file", FILES)
def test_mappings_name_only_fields_there_are(file: str) -> None:
    keys = {field.key for field in FIELDS}
    for row in read(file)["presets"]:
        assert set(row["mapping"]) <= keys


PRODUCTS = {"products": [{"product_id": 7, "price": "9.5"}], "product_id": 8, "price": 3}
MANY = [{"price": 9.5, "content_id": "7"}]
ONE = [{"price": 3, "content_id": "8"}]


@pytest.mark.parametrize(
    ("file", "trigger", "contents"),
    [
        ("tiktok-conversions", "Order Completed", MANY),
        ("tiktok-conversions", "Checkout Started", MANY),
        ("tiktok-conversions", "Payment Info Entered", MANY),
        ("tiktok-conversions", "Product Added", ONE),
        ("tiktok-conversions", "Products Searched", ONE),
        ("tiktok-conversions", "page", ONE),
        ("tiktok-conversions-current", "page", MANY),
        ("tiktok-conversions-current", "Signed Up", None),
        ("tiktok-standard-events", "Order Completed", MANY),
        ("tiktok-standard-events", "Product Customized", ONE),
        ("tiktok-standard-events", "Trial Started", None),
    ],
)
def test_where_the_items_come_from(
    file: str, trigger: str, contents: list[JsonObject] | None
) -> None:
    (delivery,) = plan_of(file, trigger, **PRODUCTS).deliveries
    assert orjson.loads(delivery.body)["properties"].get("contents") == contents


@pytest.mark.parametrize("trigger", FILES["tiktok-standard-events"])
def test_the_standard_events_carry_a_description(trigger: str) -> None:
    (delivery,) = plan_of("tiktok-standard-events", trigger, description="Two lamps").deliveries
    assert orjson.loads(delivery.body)["properties"]["description"] == "Two lamps"


def test_the_documented_mappings_are_those_of_the_current_release() -> None:
    current = {
        row["name"]: row["mapping"] for row in read("tiktok-conversions-current")["presets"]
    }
    for row in read("tiktok-conversions")["presets"]:
        assert row["mapping"] == current[row["name"]]
