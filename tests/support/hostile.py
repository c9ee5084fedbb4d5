"""Bodies that nobody should send: a corpus by name, and a strategy that makes more of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

import orjson
from hypothesis import strategies as st

from conversion_relay.core.values import Json, JsonObject
from support.events import NAMES, track

_BOM: Final = b"\xef\xbb\xbf"
_WORDS: Final = ("", "x" * 3000, "\ud83d", "\x00", "NaN", "null", "__proto__", "$.a", "🦊", " ")
_NUMBERS: Final = (10**400, -(10**30), 2**63, 1e308, -0.0, 5e-324, float("nan"), float("inf"))
_EDGES: Final = (
    b"",
    b"{",
    b"[",
    b"]",
    b"}",
    b",",
    b'"',
    b"\\",
    b"\x00",
    b"\xff",
    b"NaN",
    b"1e999",
)


def event(**changes: object) -> bytes:
    """A good event with these changes, as bytes."""
    return orjson.dumps(track("Order Completed", "m-hostile", **changes))


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """An event with something nested so deeply."""
    deep = opening * levels + b"1" + closing * levels
    return b'{"type": "track", "event": "Order Completed", "properties": {"a": %b}}' % deep


CORPUS: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "white space": b" \n\t ",
    "a cut event": event()[:-30],
    "a cut key": event()[:20],
    "an event and more": event() + b"{}",
    "two events without a list": event() + b"\n" + event(),
    "byte order mark": _BOM + event(),
    "byte order mark before a list": _BOM + b"[" + event() + b"]",
    "UTF-16": event().decode().encode("utf-16"),
    "no UTF-8": event().replace(b"Lamp", b"L\xe4mp"),
    "overlong UTF-8": event().replace(b"Lamp", b"L\xc0\xaf"),
    "zero byte": event().replace(b"Lamp", b"L\x00mp"),
    "escaped zero": event().replace(b"Lamp", b"L\\u0000mp"),
    "lone surrogate": event().replace(b"Lamp", b"\\ud83d"),
    "lone surrogate in a key": event().replace(b'"currency"', b'"\\udc00"'),
    "surrogates the wrong way round": event().replace(b"Lamp", b"\\udc00\\ud83d"),
    "not a number": event().replace(b"59.9", b"NaN"),
    "infinity": event().replace(b"59.9", b"-Infinity"),
    "a huge number": event().replace(b"59.9", b"1e400"),
    "a number of 5,000 digits": event().replace(b"59.9", b"9" * 5000),
    "a number of 100 digits": event().replace(b"59.9", b"9" * 100),
    "a leading zero": event().replace(b"59.9", b"059.9"),
    "hexadecimal": event().replace(b"59.9", b"0x1F"),
    "a comment": event()[:-1] + b"/* all */}",
    "a comma too many": event()[:-1] + b",}",
    "single quotes": event().replace(b'"', b"'"),
    "duplicate keys": event()[:-1] + b',"type":"track","event":"Other","properties":null}',
    "duplicate messageId": event()[:-1] + b',"messageId":"m-other"}',
    "a prototype": event()[:-1] + b',"__proto__":{"type":"track"},"constructor":1}',
    "63 levels": nested(61),
    "500 levels": nested(500),
    "5,000 levels": nested(5000),
    "500 objects": nested(500, b'{"a":', b"}"),
    "unclosed brackets": b"[" * 60_000,
    "unclosed strings": b'["' * 20_000,
    "brackets with strings": b'["a",' * 12_000,
    "a list in a list": b"[[" + event() + b"]]",
    "an empty list": b"[]",
    "an empty object": b"{}",
    "a text": b'"track"',
    "a number": b"7",
    "null": b"null",
    "null in a list": b"[null," + event() + b",null]",
    "a number as type": event(type=7),
    "an object as type": event(type={"a": 1}),
    "an unknown type": event(type="purchase"),
    "a type in capitals": event(type="TRACK"),
    "an object as event": event(event={"name": "Order Completed"}),
    "a number as event": event(event=5),
    "an event name of 10,000 characters": event(event="x" * 10_000),
    "a list as properties": event(properties=[1, 2, 3]),
    "a text as properties": event(properties="all"),
    "a number as context": event(context=5),
    "a list as context": event(context=[{}]),
    "a list as integrations": event(integrations=[1]),
    "a text as integrations": event(integrations="All"),
    "a list as traits": event(traits=["a"]),
    "a number as messageId": event(messageId=12345),
    "an object as messageId": event(messageId={"a": 1}),
    "an empty messageId": event(messageId=""),
    "a messageId of 5,000 characters": event(messageId="m" * 5000),
    "a messageId with control characters": event(messageId="m\n\x1b[2J\x00"),
    "an object as userId": event(userId={"id": 1}),
    "a number as userId": event().replace(b'"buyer-311"', b"9" * 30),
    "a userId of 10,000 characters": event(userId="u" * 10_000),
    "a number as timestamp": event(timestamp=1_795_000_000),
    "a timestamp of another calendar": event(timestamp="5786-03-01T00:00:00Z"),
    "a timestamp far away": event(timestamp="+275760-09-13T00:00:00Z"),
    "a timestamp without an end": event(timestamp="2026-11-20T10:15:30." + "9" * 500),
    "times that are lists": event(timestamp=[], sentAt={}, receivedAt=[None]),
    "products that are none": event(properties={"products": {"0": {"price": []}}}),
    "1,000 products": event(properties={"products": [{"product_id": 1}] * 1000}),
    "amounts as texts": event(properties={"revenue": "1,5 €", "currency": 978}),
    "a URL that is none": event(context={"page": {"url": "http://[::1", "referrer": 5}}),
    "an ip that is none": event(context={"ip": "::ffff:999.1.1.1%eth0"}),
    "consent that is none": event(context={"consent": [1], "ip": {}}),
    "traits that are none": event(context={"traits": {"email": ["a"], "phone": {"n": 1}}}),
}
"""What has to be mapped, put into quarantine or refused; never a fault, never a crash."""


def values() -> st.SearchStrategy[object]:
    """JSON of any shape, with what is no JSON among it."""
    plain = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(_WORDS),
        st.sampled_from(_NUMBERS),
    )
    keys = st.sampled_from(["a", "email", "url", "products", "", "All", "categoryPreferences"])
    return st.recursive(
        plain,
        lambda inside: st.one_of(
            st.lists(inside, max_size=4), st.dictionaries(keys, inside, max_size=4)
        ),
        max_leaves=12,
    )


_PLACES: Final = (
    ("type",), ("event",), ("messageId",), ("userId",), ("anonymousId",), ("timestamp",),
    ("sentAt",), ("receivedAt",), ("originalTimestamp",), ("name",), ("traits",),
    ("properties",), ("properties", "products"), ("properties", "products", 0),
    ("properties", "products", 0, "price"), ("properties", "revenue"), ("properties", "currency"),
    ("properties", "order_id"), ("properties", "query"), ("properties", "ttclid"),
    ("context",), ("context", "ip"), ("context", "page"), ("context", "page", "url"),
    ("context", "traits"), ("context", "traits", "email"), ("context", "traits", "phone"),
    ("context", "traits", "address"), ("context", "userAgent"), ("context", "locale"),
    ("context", "consent"), ("context", "consent", "categoryPreferences"),
    ("integrations",), ("integrations", "All"), ("integrations", "TikTok Conversions"),
)  # fmt: skip


@st.composite
def near_events(draw: st.DrawFn) -> object:
    """An event of the shop with something odd in some places."""
    name = draw(st.sampled_from(sorted(NAMES)))
    found: object = track(name, draw(st.uuids()).hex)
    for place in draw(st.lists(st.sampled_from(_PLACES), max_size=3)):
        found = _put(found, place, draw(values()))
    return found


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A request's body: an event, a list, anything; sometimes with damage to its bytes."""
    value = draw(
        st.one_of(near_events(), near_events(), st.lists(near_events(), max_size=4), values())
    )
    raw = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)):
        return raw
    at = draw(st.integers(0, len(raw)))
    end = draw(st.integers(at, min(len(raw), at + 40)))
    return raw[:at] + draw(st.sampled_from(_EDGES)) + raw[end:]


def _put(inside: object, place: tuple[str | int, ...], value: object) -> object:
    """The value with another one at this place, where there is such a place."""
    if not place:
        return value
    key, rest = place[0], place[1:]
    if isinstance(inside, dict) and isinstance(key, str):
        members = cast("JsonObject", inside)
        return {**members, key: cast("Json", _put(members.get(key), rest, value))}
    if isinstance(inside, list) and isinstance(key, int) and len(inside) > key:
        items = cast("list[Json]", inside)
        return [*items[:key], cast("Json", _put(items[key], rest, value)), *items[key + 1 :]]
    return inside
