"""What `preview` shows is what the service keeps and sends, whatever is set and received."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.decoding import Decoded, decode
from conversion_relay.core.match_keys import Memory
from conversion_relay.core.plan import Target
from conversion_relay.core.reception import EventLimits
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.wire import WIRE_FIELDS
from conversion_relay.service.configuration import load
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.preview import Previewed, preview
from conversion_relay.service.settings import Configuration
from conversion_relay.service.store.port import NewEvent
from conversion_relay.service.targets import build_targets
from support.lines import Lines
from support.running import environment

NOW = datetime(2026, 11, 20, 10, 15, 32, tzinfo=UTC)
LIMITS = EventLimits(max_event_bytes=2_000, max_nesting=6)
BASE = load(environment(Path("unused"), "http://127.0.0.1:1"))
REMOVABLE = [one.path for one in WIRE_FIELDS.values() if one.why_kept is None]
HASHABLE = [one.path for one in WIRE_FIELDS.values() if one.why_plain is None]
IDS = st.sampled_from(["ada", "ben", "undefined", 7, "", None, ["ada"]])
VALUES: st.SearchStrategy[Json] = st.sampled_from([
    None, "", True, False, 0, 1.5, "7", "x" * 2_000, " Ada@Example.com ", "ben@example.com",
    "+49301234567", "DE", "https://e.com/?email=a&ttclid=c", [], {}, ["a", "b"], {"a": [1]},
    [[[[[[["deep"]]]]]]], [{"content_id": "c", "price": "1"}], "2026-01-01T00:00:00Z", "1.2.3.4",
])  # fmt: skip
TRAITS = st.dictionaries(st.sampled_from(["email", "phone", "address", "first_name"]), VALUES)
PROPERTIES = st.dictionaries(
    st.sampled_from([
        "email", "phone", "order_id", "currency", "revenue", "query", "products", "ttclid",
        "content_ids", "lead_id", "limited_data_use", "mileage_unit", "mileage_value", "address",
    ]),
    VALUES,
)  # fmt: skip
CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "traits": TRAITS,
        "page": st.fixed_dictionaries({"url": VALUES, "referrer": VALUES}),
        "ip": VALUES,
        "locale": VALUES,
        "consent": st.just({"categoryPreferences": {"ads": True}}) | VALUES,
    },
)
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "track", "page", "identify", "delete", "", 7])},
    optional={
        "event": st.sampled_from(["Order Completed", "Product Added", "Other"]),
        "messageId": st.sampled_from(["m-1", "m" * 150, 5, ["m"]]),
        "receivedAt": VALUES,
        "timestamp": VALUES,
        "userId": IDS,
        "anonymousId": IDS,
        "previousId": IDS,
        "context": CONTEXTS | VALUES,
        "traits": TRAITS,
        "properties": PROPERTIES,
        "integrations": st.dictionaries(
            st.sampled_from(["All", "TikTok Conversions", "tiktok"]), VALUES, max_size=2
        )
        | VALUES,
    },
)


@st.composite
def configurations(draw: st.DrawFn) -> Configuration:
    """The one destination, with any settings of what is shared."""
    ((name, destination),) = BASE.destinations.items()
    left_out = tuple(draw(st.lists(st.sampled_from(REMOVABLE), max_size=4)))
    hashed = draw(st.lists(st.sampled_from(HASHABLE), max_size=4))
    changes = {
        "sharing": destination.sharing.model_copy(
            update={
                "leave_out": left_out,
                "hash": tuple(one for one in hashed if one not in left_out),
                "strip_url_parameters": draw(st.sampled_from([(), ("email",), ("*",)])),
                "truncate_ip": draw(st.booleans()),
                "limited_data_use": draw(st.sampled_from(["as_mapped", "always"])),
            }
        ),
        "consent_categories": draw(st.sampled_from([(), ("ads",)])),
        "consent_when_missing": draw(st.sampled_from(["send", "suppress"])),
        "default_phone_region": draw(st.sampled_from([None, "DE"])),
    }
    return BASE.model_copy(update={"destinations": {name: destination.model_copy(update=changes)}})


def kept(lines: list[bytes], targets: tuple[Target, ...], memory: Memory | None) -> list[NewEvent]:
    """What the service makes of these lines, one request after the other."""
    lasts = {} if memory is None else {"default": timedelta(days=1)}
    planner = Planner(
        {"default": targets},
        LIMITS.max_event_bytes,
        lambda: NOW,
        Lines(),
        lasts,
        LIMITS.max_nesting,
    )
    found: list[NewEvent] = []
    for line in lines:
        element = decode(line.decode())
        assert isinstance(element, Decoded)
        found.append(planner.plan("default", element, memory))
    return found


@settings(max_examples=60, deadline=None)
@given(configurations(), st.lists(EVENTS, min_size=1, max_size=8), st.booleans())
def test_preview_and_service_agree(
    configuration: Configuration,
    events: list[JsonObject],
    remembers: bool,
) -> None:
    targets = build_targets(configuration)
    lines = [orjson.dumps(event) for event in events]
    memories = [Memory() if remembers else None for _ in range(2)]
    shown = preview(lines, targets, NOW, memories[0], limits=LIMITS)
    for event, one in zip(kept(lines, targets, memories[1]), shown, strict=True):
        assert isinstance(one, Previewed)
        line = orjson.loads(one.line)
        assert [delivery["body"] for delivery in line["deliveries"]] == [
            {**orjson.loads(delivery.envelope), "data": [orjson.loads(delivery.body)]}
            for delivery in event.deliveries
        ]
        reasons = [event.reason] if event.reason else [note.reason for note in event.rejections]
        assert [note["reason"] for note in line["rejections"]] == reasons
        held_back = [note["reason"] for note in line.get("suppressions", [])]
        assert held_back == [note.reason for note in event.suppressions]
