"""Whatever a body of the Tracking API holds: one bad event costs no other, nothing is a fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.values import Json
from support.toy import hello
from support.tracking import MEMORY_KEY, Door, MemoryStore

_ADA, _GRACE = (orjson.dumps(hello(name, f"m-{name}").payload) for name in ("Ada", "Grace"))
_DEEP = b"[" * 1100 + b"]" * 1100


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (b"3", "an event is a JSON object, this is a number"),
        (b"null", "an event is a JSON object, this is null"),
        (b'{"event": "Hello"}', '"type" must be a word'),
        (b'{"type": 5}', '"type" must be a word'),
        (b'{"type": "track", "properties": %b}' % _DEEP, "too large|nested too deeply|longer"),
        (b'{"type": "track", "messageId": %b}' % (b"7" * 1900), "too many digits|17"),
        (b'{"type": "track", "properties": {"a": NaN}}', "a number that JSON does not have"),
        (b'{"type": "track", "properties": {"a": 1e999}}', "greater than a float can be"),
        (b'{"type": "track", "properties": {"a": "\xff"}}', "not UTF-8"),
        (b'{"type": "track", "properties": "%b"}' % (b"x" * 2_000), "longer than 2000"),
        (b'{"type": "track", "a": "%b"}' % ("ä".encode() * 995), "larger than 2000 bytes"),
    ],
)
async def test_one_poisoned_event_costs_no_other(poison: bytes, reason: str) -> None:
    door = Door()
    body = b'{"batch": [%b, %b, %b]}' % (_ADA, poison, _GRACE)
    assert (await door.post("/v1/batch", body)).status_code == 200
    assert len(door.store.kept) == 3
    assert [one.disposition.value for one in door.store.kept][::2] == ["planned"] * 2
    kept = door.store.kept[1]
    if reason != "too many digits|17":
        assert kept.original == poison, "it is kept as it came"
        assert any(one in str(kept.reason) for one in reason.split("|"))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "expected an object"),
        (b"[]", "expected an object"),
        (b"\xff", "expected an object"),
        (b"{}", '"batch"'),
        (b'{"batch": null}', '"batch"'),
        (b'{"batch": {}}', '"batch"'),
        (b'{"batch": [1 2]}', 'in "batch": expected'),
        (b'{"batch": [1,]}', 'in "batch": Expecting value'),
        (b'{"batch": [', "a value that ends"),
        (b'{"batch": [], "context": {"a": NaN}}', "a number that JSON does not have"),
        (b'{"batch": [], "context": {"a": 1e999}}', "greater than a float can be"),
        (b'{"batch": [], "context": "\xff"}', "not UTF-8"),
        (b'{"batch": [], "other": nul}', "is no JSON"),
        (b'{"batch": []} x', "the end of the text"),
    ],
)
async def test_a_batch_that_cannot_be_read(body: bytes, reason: str) -> None:
    answer = await Door().post("/v1/batch", body)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"[]", "this is a list"),
        (b"\xff", "not UTF-8"),
        (b'{"a": NaN}', "a number that JSON does not have"),
        (b'{"a": 1', "no JSON"),
    ],
)
async def test_a_single_event_that_cannot_be_read(body: bytes, reason: str) -> None:
    answer = await Door().post("/v1/track", body)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]


async def test_odd_but_good_json() -> None:
    door = Door()
    body = b'\xef\xbb\xbf {"batch": [3], "batch": [%b], "batch\\u0000": 1}\n' % _ADA
    assert (await door.post("/v1/batch", body)).status_code == 200
    assert [one.message_id for one in door.store.kept] == ["m-Ada"], "the last of two counts"
    single = b'\xef\xbb\xbf{"event": "Hello", "n": 123456789012345678901234567890, "s": "\\ud83d"}'
    assert (await door.post("/v1/track", single)).status_code == 200
    assert b"123456789012345678901234567890" in door.store.kept[1].original
    assert "\ufffd".encode() in door.store.kept[1].original


async def test_what_is_shared_has_its_bounds() -> None:
    door = Door()
    shared = b"x" * 3_000
    body = b'{"context": {"a": "%b"}, "batch": [%b, %b]}'
    large = orjson.dumps({"type": "track", "b": "y" * 1_500})
    assert (await door.post("/v1/batch", body % (shared, _ADA, large))).status_code == 200
    first, second = door.store.kept
    assert (first.disposition.value, second.disposition.value) == ("planned", "quarantined")
    assert second.original == large
    answer = await door.post("/v1/batch", b'{"batch": [%b]}' % b",".join([b"0"] * 501))
    assert (answer.status_code, answer.json()["code"]) == (400, "batch-too-long")


@pytest.mark.parametrize("shared_bytes", [3_000, 3_990, 4_001])
@pytest.mark.parametrize("count", [1, 150])
async def test_what_is_shared_costs_no_more_than_its_bounds(shared_bytes: int, count: int) -> None:
    """Events that become too large count too, for each of them is work."""
    door = Door()
    shared = b'{"a": "%b"}' % (b"x" * (shared_bytes - len('{"a": ""}')))
    body = b'{"context": %b, "batch": [%b]}' % (shared, b",".join([_ADA] * count))
    answer = await door.post("/v1/batch", body)
    if count == 1 and shared_bytes < 4_000:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["code"]) == (400, "body-too-large")
        assert door.store.kept == []


@dataclass(slots=True)
class _Counting(MemoryStore):
    """Knows how many requests asked it at a time while they were planned, most."""

    inside: int = 0
    most: int = 0

    async def remembered(self, *_asked: object) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """Nothing, after a while."""
        self.inside += 1
        self.most = max(self.most, self.inside)
        for _ in range(5):
            await asyncio.sleep(0)
        self.inside -= 1
        return {}


@pytest.mark.parametrize(("shared_bytes", "at_a_time"), [(3_000, 1), (10, 4)])
async def test_small_requests_that_grow_wait_for_each_other(
    shared_bytes: int, at_a_time: int
) -> None:
    door = Door(store=_Counting())
    body = b'{"userId": "ada", "context": {"a": "%b"}, "batch": [%b]}'
    body %= b"x" * shared_bytes, b",".join([_ADA] * 30)
    posts = (door.post("/v1/batch", body, MEMORY_KEY) for _ in range(4))
    answers = await asyncio.gather(*posts)
    assert {answer.status_code for answer in answers} == {200}
    assert isinstance(door.store, _Counting)
    assert door.store.most == at_a_time


_PIECES = st.sampled_from(
    [
        _ADA, _GRACE, b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b" ", b"-", b"NaN",
        b"1e999", b"\\", b"\\ud83d", b"\xff", b"\x00", b"\xef\xbb\xbf", b"7" * 5000,
        b"[" * 1100, b"]" * 1100, b'{"batch":[', b'"batch":', b'"context":', b'"writeKey":"x"',
        b'{"type":"track","timestamp":', b'"sentAt":', b'"2026-11-20T10:00:00Z"', b'"type":"page"',
    ]
)  # fmt: skip
_VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["batch", "context", "type", "messageId", "sentAt", "timestamp", "ip"]
            ),
            inner,
            max_size=4,
        )
    ),
)
_BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(_PIECES, max_size=10).map(b"".join),
    st.lists(_PIECES, max_size=5).map(lambda some: b'{"batch":[' + b",".join(some) + b"]}"),
    _VALUES.map(lambda value: json.dumps(value).encode()),
)


@settings(deadline=None, max_examples=300)
@given(_BODIES, st.sampled_from(["track", "batch", "b", "i", "import"]), st.booleans())
def test_no_body_is_a_fault(body: bytes, call: str, keyed: bool) -> None:
    door = Door()
    answer = asyncio.run(door.post(f"/v1/{call}", body, "ip-key" if keyed else None))
    assert answer.status_code in ({200, 400} if keyed else {400, 401})
    assert "ingest.not_planned" not in door.log.events
    if answer.status_code == 200:
        assert answer.json() == {"success": True}


@settings(deadline=None, max_examples=200)
@given(_VALUES, _VALUES)
def test_no_json_is_a_fault(element: Json, shared: Json) -> None:
    door = Door()
    beside = shared if isinstance(shared, dict) else {"context": shared}
    body = orjson.dumps({**beside, "batch": [element, hello().payload]})
    assert asyncio.run(door.post("/v1/batch", body)).status_code == 200
    assert len(door.store.kept) in {1, 2}
    assert "planned" in {one.disposition.value for one in door.store.kept}
    assert "ingest.not_planned" not in door.log.events
