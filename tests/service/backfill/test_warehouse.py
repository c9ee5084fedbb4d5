"""Rows of a warehouse and the events they become."""

from __future__ import annotations

import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.backfill.warehouse import event_of_row, is_row

ROW: JsonObject = {
    "id": "ajs-1",
    "anonymous_id": "anonymous-9f",
    "user_id": "buyer-311",
    "event": "order_completed",
    "event_text": "Order Completed",
    "timestamp": "2026-11-20 10:15:30.250 UTC",
    "original_timestamp": "2026-11-20 10:15:29",
    "sent_at": "2026-11-20T10:15:31Z",
    "received_at": "2026-11-20 10:15:32 UTC",
    "uuid_ts": "2026-11-20 10:20:00 UTC",
    "context_ip": "203.0.113.7",
    "context_user_agent": "Mozilla/5.0",
    "context_locale": "de-DE",
    "context_page_url": "https://shop.example.com/a?ttclid=click-1",
    "context_page_referrer": None,
    "context_traits_email": "lena@example.com",
    "context_traits_first_name": "Lena",
    "context_traits_address_postal_code": "10115",
    "context_library_name": "analytics.js",
    "order_id": "order-77",
    "revenue": 59.9,
    "currency": "EUR",
    "coupon": None,
    "name": "a property",
    "address_city": "Berlin",
    "products": '[{"product_id": "lamp-1", "price": 29.95}]',
    "note": "[not a list",
}
EVENT: JsonObject = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "ajs-1",
    "anonymousId": "anonymous-9f",
    "userId": "buyer-311",
    "timestamp": "2026-11-20 10:15:30.250Z",
    "originalTimestamp": "2026-11-20 10:15:29",
    "sentAt": "2026-11-20T10:15:31Z",
    "receivedAt": "2026-11-20 10:15:32Z",
    "context": {
        "ip": "203.0.113.7",
        "userAgent": "Mozilla/5.0",
        "locale": "de-DE",
        "page": {"url": "https://shop.example.com/a?ttclid=click-1"},
        "traits": {
            "email": "lena@example.com",
            "first_name": "Lena",
            "address": {"postal_code": "10115"},
        },
        "library": {"name": "analytics.js"},
    },
    "properties": {
        "order_id": "order-77",
        "revenue": 59.9,
        "currency": "EUR",
        "name": "a property",
        "address": {"city": "Berlin"},
        "products": [{"product_id": "lamp-1", "price": 29.95}],
        "note": "[not a list",
    },
}


def test_a_row_of_an_event_s_table() -> None:
    assert is_row(ROW)
    assert event_of_row(ROW) == EVENT


def test_column_names_in_capitals() -> None:
    row: JsonObject = {key.upper(): value for key, value in ROW.items()}
    assert is_row(row)
    assert event_of_row(row) == EVENT


def test_a_column_type_tells_rows_of_other_tables() -> None:
    row: JsonObject = {"type": "page", "id": "p-1", "received_at": "2026-11-20", "name": "Home"}
    assert event_of_row(row | {"title": "Shop"}) == {
        "type": "page",
        "messageId": "p-1",
        "receivedAt": "2026-11-20",
        "name": "Home",
        "properties": {"title": "Shop"},
    }


def test_without_a_name_or_a_type_it_is_no_event() -> None:
    assert "type" not in event_of_row({"id": "i-1", "received_at": "2026-11-20", "email": "x"})


@pytest.mark.parametrize(
    "row",
    [
        {"id": "row", "message_id": "m-1", "event_text": "A"},
        {"message_id": "m-1", "id": "row", "event_text": "A"},
    ],
)
def test_a_message_id_counts_before_an_id(row: JsonObject) -> None:
    assert event_of_row(row)["messageId"] == "m-1"
    assert event_of_row(row).get("properties") is None


def test_columns_that_want_the_same_place_lose_no_event() -> None:
    row: JsonObject = {"event_text": "A", "context_page": "x", "context_page_url": "y"}
    assert event_of_row(row)["context"] == {"page": "x"}


@pytest.mark.parametrize(
    "value",
    [
        {"type": "track", "messageId": "m-1", "received_at": "x"},
        {"type": "track", "event": "A", "timestamp": "x", "receivedAt": "y"},
        {"type": "identify", "traits": {"received_at": "x"}},
        {},
        [],
        None,
        "event_text",
    ],
)
def test_what_is_no_row(value: Json) -> None:
    assert not is_row(value)
