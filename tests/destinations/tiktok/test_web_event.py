"""Report Web Event beside what Segment does: settings, envelopes, order, exact bytes."""

from __future__ import annotations

import pytest

from conversion_relay.core.coercion import Checker
from conversion_relay.core.destination import Built, FieldProblem, Worth
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import JsonObject
from conversion_relay.destinations.tiktok.fields import CURRENCIES
from conversion_relay.destinations.tiktok.sharing import Sharing
from conversion_relay.destinations.tiktok.web_event import ReportWebEvent, TikTokSettings
from destinations.tiktok.building import NOW, PLAIN, digest, run

ACTION = ReportWebEvent(TikTokSettings("PIXEL"))
EVENT = SegmentEvent({"type": "track"}, "track", None)


def test_the_bytes_of_an_event() -> None:
    payload: JsonObject = {
        "event_source": "web",
        "event": "Purchase",
        "event_id": "m-1",
        "timestamp": "2026-01-05T10:00:00.900Z",
        "email": "a@example.com",
        "user_agent": "UA",
        "value": "9.50",
        "currency": "eur",
        "contents": {"price": "9.50", "quantity": "1"},
        "url": "https://e.com/",
    }
    built = ACTION.build(Checker(ACTION.fields).check(payload).payload, EVENT, NOW)
    assert built == Built(
        '{"event_source":"web","event_source_id":"PIXEL"}',
        "Purchase",
        "m-1",
        b'{"event":"Purchase","event_time":1767607200,"event_id":"m-1","user":{"email":["'
        + digest("a@example.com").encode()
        + b'"],"user_agent":"UA"},"properties":{"contents":[{"price":9.5,"quantity":1}],'
        b'"currency":"EUR","value":9.5},"page":{"url":"https://e.com/"},"limited_data_use":false}',
        keys=frozenset({"email"}),
        worth=Worth(9_500_000, "EUR"),
    )


@pytest.mark.parametrize(
    ("value", "currency", "worth"),
    [
        (59.9, "EUR", Worth(59_900_000, "EUR")),
        ("9.50", "eur", Worth(9_500_000, "EUR")),
        (0, "JPY", Worth(0, "JPY")),
        (-5.25, "USD", Worth(-5_250_000, "USD")),
        (0.1 + 0.2, "USD", Worth(300_000, "USD")),
        (1e12, "IDR", Worth(10**18, "IDR")),
        (1.1e12, "IDR", None),
        (59.9, None, None),
        (None, "EUR", None),
        (59.9, "XYZ", None),
        ("much", "EUR", None),
    ],
)
def test_a_conversion_is_worth_its_value_in_its_currency(
    value: float | str | None, currency: str | None, worth: Worth | None
) -> None:
    mapped: JsonObject = {"event": "Purchase", "value": value, "currency": currency}
    payload: JsonObject = {key: one for key, one in mapped.items() if one is not None}
    built = ACTION.build(Checker(ACTION.fields).check(payload).payload, EVENT, NOW)
    assert isinstance(built, Built)
    assert built.worth == worth


def test_it_is_worth_as_much_where_the_value_is_not_shared() -> None:
    sharing = Sharing(leave_out=("properties.value",))
    action = ReportWebEvent(TikTokSettings("PIXEL", sharing=sharing))
    built = action.build({"event": "Purchase", "value": 9.5, "currency": "EUR"}, EVENT, NOW)
    assert isinstance(built, Built)
    assert b'"value"' not in built.body
    assert built.worth == Worth(9_500_000, "EUR")


def test_the_least_there_can_be() -> None:
    built = ACTION.build({"event": "Ping"}, EVENT, NOW)
    assert isinstance(built, Built)
    assert built.event_id is None
    assert built.body == (
        b'{"event":"Ping","event_time":1768046400,"user":{},"properties":{},'
        b'"limited_data_use":false}'
    )


def test_without_a_name_there_is_no_event() -> None:
    assert ACTION.build({}, EVENT, NOW) == FieldProblem("event", "is required, it is missing")


@pytest.mark.parametrize(
    ("settings", "mapped", "envelope"),
    [
        (TikTokSettings("P"), {}, {"event_source": "web", "event_source_id": "P"}),
        (
            TikTokSettings("P"),
            {"event_source": "crm", "lead_fields": {"lead_id": "1"}},
            {"event_source": "crm", "event_source_id": "P"},
        ),
        (
            TikTokSettings("P", test_event_code="T"),
            {},
            {"event_source": "web", "event_source_id": "P", "test_event_code": "T"},
        ),
        (
            TikTokSettings("P", test_event_code="T"),
            {"test_event_code": "M"},
            {"event_source": "web", "event_source_id": "P", "test_event_code": "M"},
        ),
        (
            TikTokSettings('P"', partner_name="N"),
            {"test_event_code": "M"},
            {
                "event_source": "web",
                "event_source_id": 'P"',
                "test_event_code": "M",
                "partner_name": "N",
            },
        ),
    ],
)
def test_envelopes(settings: TikTokSettings, mapped: JsonObject, envelope: dict[str, str]) -> None:
    assert run(settings, None, **mapped).envelope == envelope


@pytest.mark.parametrize("name", ["A", "Übergabe", "x" * 50, "complete_order 2"])
def test_names_that_tiktok_takes(name: str) -> None:
    assert run(event=name).element["event"] == name


@pytest.mark.parametrize(
    "field", [{"event_source": "WEB"}, {"limited_data_use": "yes"}, {"test_event_code": {}}]
)
def test_what_would_change_the_meaning_of_an_event_rejects_it(field: JsonObject) -> None:
    assert run(PLAIN, None, **field).rejected == list(field)


def test_there_are_62_currencies() -> None:
    assert len(CURRENCIES) == 62


def test_blank_values_go_without_a_word() -> None:
    outcome = run(email=[" "], first_name=" ", phone_number=" ", ip=" ", address={"country": " "})
    assert outcome.user == {}
    assert outcome.fields == []


def test_a_slug_and_fields() -> None:
    assert ACTION.slug == "reportWebEvent"
    assert [field.key for field in ACTION.fields][:3] == [
        "event_source",
        "event_spec_type",
        "event",
    ]
