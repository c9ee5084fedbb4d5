"""Segment's Tracking API: who may post, what is answered, what is kept."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from datetime import timedelta
from functools import partial

import httpx
import orjson
import pytest
from starlette.types import Message, Scope

from conversion_relay.core.values import JsonObject
from conversion_relay.errors import StoreBusy, StoreUnavailable
from conversion_relay.service.settings import ServiceSettings
from support.toy import hello
from support.tracking import KEY, OPEN_KEY, OTHER_KEY, RECEIVED, SETTINGS, SLOW_KEY, Door, basic

HELLO: JsonObject = {"type": "track", "event": "Hello", "properties": {"name": "Ada"}}


@pytest.fixture
def door() -> Door:
    return Door()


def _refused(answer: httpx.Response, status: int, slug: str) -> str:
    """Checks a problem document with the members Segment's libraries look for."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == "*"
    document: dict[str, str] = answer.json()
    assert document["type"] == f"urn:conversion-relay:problem:{slug}"
    assert document["code"] == slug
    assert document["message"] == document["detail"]
    assert str(document["status"]) == str(status)
    return document["detail"]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("track", "track"), ("page", "page"), ("identify", "identify"), ("screen", "screen"),
        ("group", "group"), ("alias", "alias"), ("t", "track"), ("p", "page"), ("i", "identify"),
        ("s", "screen"), ("g", "group"), ("a", "alias"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_path_of_a_single_call_says_its_type(
    door: Door, call: str, kind: str, slash: str
) -> None:
    answer = await door.post(f"/v1/{call}{slash}", {"userId": "u", "type": "delete"})
    assert (answer.status_code, answer.content) == (200, b'{"success": true}')
    (original,) = door.originals()
    assert (original["type"], original["userId"]) == (kind, "u")
    assert door.log.events == ["tracking.kept"]


@pytest.mark.parametrize("call", ["batch", "import", "b", "batch/"])
async def test_a_batch(door: Door, call: str) -> None:
    batch: JsonObject = {
        "batch": [HELLO, {"type": "identify", "userId": "own"}],
        "context": {"library": {"name": "x"}},
        "userId": "shared",
        "sentAt": "2026-11-20T10:00:00Z",
        "messageId": "of-the-batch",
    }
    answer = await door.post(f"/v1/{call}", batch)
    assert answer.json() == {"success": True}
    assert [
        (one["type"], one["userId"], one["context"], one["sentAt"], one["messageId"])
        for one in door.originals()
    ] == [
        ("track", "shared", {"library": {"name": "x"}}, "2026-11-20T10:00:00Z", "fresh-1"),
        ("identify", "own", {"library": {"name": "x"}}, "2026-11-20T10:00:00Z", "fresh-2"),
    ]


async def test_an_import_without_sent_at_keeps_its_times(door: Door) -> None:
    await door.post("/v1/import", {"batch": [{**HELLO, "timestamp": "2012-12-02T00:30:08.276Z"}]})
    (original,) = door.originals()
    assert original["timestamp"] == "2012-12-02T00:30:08.276Z"
    assert original["receivedAt"] == "2026-11-20T10:00:10.000Z"


async def test_what_is_kept_is_the_completed_event(door: Door) -> None:
    sent: JsonObject = {
        **HELLO, "writeKey": KEY, "messageId": "m-1",
        "timestamp": "2026-11-20T10:00:00Z", "sentAt": "2026-11-20T10:00:08Z",
    }  # fmt: skip
    await door.post("/v1/track", sent, None)
    assert door.originals() == [
        {key: value for key, value in sent.items() if key != "writeKey"}
        | {
            "timestamp": "2026-11-20T10:00:02.000Z",
            "originalTimestamp": "2026-11-20T10:00:00Z",
            "receivedAt": "2026-11-20T10:00:10.000Z",
        }
    ]
    (kept,) = door.store.kept
    assert (kept.source, kept.message_id) == ("web", "m-1")
    assert kept.received_at - RECEIVED < timedelta(seconds=1)
    assert len(kept.deliveries) == 1


@pytest.mark.parametrize(
    ("key", "body_key", "element_key", "source"),
    [
        (KEY, None, None, "web"),
        ("web-key-new", None, None, "web"),
        (OTHER_KEY, KEY, KEY, "other"),
        (None, KEY, OTHER_KEY, "web"),
        (None, None, OTHER_KEY, "other"),
        ("", OTHER_KEY, None, "other"),
    ],
)
async def test_the_write_key_says_whose_it_is(
    door: Door, key: str | None, body_key: str | None, element_key: str | None, source: str
) -> None:
    batch: JsonObject = {"batch": [3, {**HELLO, "writeKey": element_key}], "writeKey": body_key}
    assert (await door.post("/v1/batch", batch, key)).status_code == 200
    assert {one.source for one in door.store.kept} == {source}
    if element_key is None:
        answer = await door.post("/v1/track", {**HELLO, "writeKey": body_key}, key)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "authorization", ["Bearer token-of-oauth", "Negotiate abc", "", "Basic Og=="]
)
async def test_other_headers_leave_it_to_the_body(door: Door, authorization: str) -> None:
    body: JsonObject = {**HELLO, "writeKey": KEY}
    headers = {"Authorization": authorization}
    assert (await door.post("/v1/track", body, None, headers)).status_code == 200
    assert (await door.post("/v1/track", HELLO, None, headers)).status_code == 401


async def test_the_password_does_not_count(door: Door) -> None:
    answer = await door.post("/v1/track", HELLO, None, basic(KEY, "anything:at all"))
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/b/"])
@pytest.mark.parametrize("body_key", [None, "", "wrong", 7, {}, "web-key ", "kéy"])
async def test_without_a_good_key_nothing_is_kept(door: Door, path: str, body_key: object) -> None:
    body = orjson.dumps({"batch": [HELLO], "writeKey": body_key})
    answer = await door.post(path, body, None)
    assert "write key" in _refused(answer, 401, "unauthorized")
    assert not answer.headers["www-authenticate"].startswith("Basic"), "a browser would ask"
    assert door.store.kept == []
    assert door.log.lines[0][2]["source"] == "unknown"


async def _unasked() -> Message:
    raise AssertionError("the body was received")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (basic("wrong"), 401),
        ({"Authorization": "Basic !!!"}, 401),
        ({"Authorization": "Basic d2ViLWtleQ"}, 401),  # no padding
        ({**basic(KEY), "Content-Encoding": "br"}, 415),
        ({**basic(KEY), "Content-Encoding": "gzip, gzip"}, 415),
        ({**basic(KEY), "Content-Length": "20001"}, 400),
        ({"Content-Length": "9" * 5000}, 400),
    ],
)
async def test_what_the_headers_forbid_is_not_received(
    door: Door, headers: dict[str, str], status: int
) -> None:
    starts: list[Message] = []

    async def send(message: Message) -> None:
        starts.append(message)

    scope: Scope = {
        "type": "http", "method": "POST", "path": "/v1/batch", "query_string": b"",
        "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
    }  # fmt: skip
    await door.application(scope, _unasked, send)
    assert starts[0]["status"] == status
    assert (b"connection", b"close") in starts[0]["headers"]


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("", bytes),
    ],
)
@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "x", None])
async def test_packed_bodies_of_any_type(
    door: Door, coding: str, pack: object, media_type: str | None
) -> None:
    assert callable(pack)
    headers = {"Content-Encoding": coding} | ({"Content-Type": media_type} if media_type else {})
    packed = pack(orjson.dumps({"batch": [HELLO]}))
    assert (await door.post("/v1/batch", packed, headers=headers)).status_code == 200
    assert len(door.store.kept) == 1


_GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b'{"batch": []}', mtime=0)[:-4], "ends too early"),
        (gzip.compress(b'{"batch": []}', mtime=0) + b"x", "followed by other data"),
        (b'{"batch": []}', "damaged"),
        (b"", "ends too early"),
    ],
)
async def test_damaged_gzip(door: Door, body: bytes, reason: str) -> None:
    answer = await door.post("/v1/batch", body, headers=_GZIP)
    assert reason in _refused(answer, 400, "unreadable-body")


@pytest.mark.parametrize(
    ("path", "size", "setting", "slug"),
    [
        ("/v1/batch", 20_000, "RELAY_MAX_TRACKING_BODY_BYTES", "body-too-large"),
        ("/v1/track", 2_000, "RELAY_MAX_TRACKING_EVENT_BYTES", "event-too-large"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
async def test_what_is_too_large_is_answered_as_segment_does(
    door: Door, path: str, size: int, setting: str, slug: str, packed: bool
) -> None:
    fitting = orjson.dumps({**HELLO, "batch": []}).ljust(size)
    headers = _GZIP if packed else {}
    answers = [
        await door.post(path, gzip.compress(body) if packed else body, headers=headers)
        for body in (fitting, fitting + b" ")
    ]
    assert answers[0].status_code == 200
    answer = answers[1]
    assert setting in _refused(answer, 400, slug)
    assert answer.headers["connection"] == "close"


async def test_a_bomb_is_not_unpacked(door: Door) -> None:
    bomb = gzip.compress(b" " * 50_000_000)[:19_000]
    tracemalloc.start()
    answer = await door.post("/v1/batch", bomb, headers=_GZIP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    _refused(answer, 400, "body-too-large")
    assert peak < 2_000_000


async def test_a_compressed_body_is_held_as_it_was_sent() -> None:
    """While it arrives: hundreds that unpack to much and never end would fill the memory."""
    door = Door(SETTINGS.model_copy(update={"max_tracking_body_bytes": 500_000}))
    packed = gzip.compress(b" " * 450_000)

    async def slow(pieces: list[bytes]) -> Message:
        if not pieces:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": pieces.pop(), "more_body": True}

    scope: Scope = {
        "type": "http", "method": "POST", "path": "/v1/batch", "query_string": b"",
        "headers": [(b"content-encoding", b"gzip")],
    }  # fmt: skip
    tracemalloc.start()
    async with asyncio.TaskGroup() as group:
        slow_ones = [
            group.create_task(door.application(scope, partial(slow, [packed[:-8]]), _unsent))
            for _ in range(100)
        ]
        for _ in range(10):
            await asyncio.sleep(0)
        held = tracemalloc.get_traced_memory()[0]
        for one in slow_ones:
            one.cancel()
    tracemalloc.stop()
    assert held < 10_000_000, "unpacked it would be 45 MB"


@pytest.mark.parametrize("error", [StoreBusy("full"), StoreUnavailable("disk")])
async def test_what_cannot_be_kept_is_to_come_again(
    door: Door, error: StoreBusy | StoreUnavailable
) -> None:
    door.store.error = error
    answer = await door.post("/v1/track", HELLO)
    _refused(answer, 503, "busy" if isinstance(error, StoreBusy) else "not-kept")
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("in_header", [True, False])
async def test_a_source_above_its_rate_is_to_come_again(door: Door, in_header: bool) -> None:
    batch: JsonObject = {"batch": [HELLO] * 100, "writeKey": None if in_header else SLOW_KEY}
    answers = [
        await door.post("/v1/batch", batch, SLOW_KEY if in_header else None) for _ in range(20)
    ]
    assert answers[0].status_code == 200
    _refused(answers[-1], 429, "too-many-events")
    assert int(answers[-1].headers["retry-after"]) > 0
    assert (await door.post("/v1/track", HELLO)).status_code == 200, "others may go on"


async def test_a_library_s_second_try_is_a_copy(door: Door) -> None:
    event: JsonObject = {**HELLO, "timestamp": "2026-11-20T10:00:00Z"}
    for sent in ("2026-11-20T10:00:01Z", "2026-11-20T10:05:00Z"):
        answer = await door.post("/v1/batch", {"batch": [event], "sentAt": sent})
        assert answer.json() == {"success": True}
    assert len(door.store.kept) == 1
    for _ in range(2):
        await door.post("/v1/track", HELLO)
    assert len(door.store.kept) == 3, "without a time two events may look alike"


async def test_a_client_that_leaves_is_no_fault(door: Door) -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"type": "http", "method": "POST", "path": "/v1/track", "headers": []}
    await door.application(scope, gone, _unsent)
    assert door.log.events == ["tracking.client_gone"]


async def _unsent(_: Message) -> None:
    raise AssertionError("something was answered")


async def test_figures_of_the_library_are_taken_and_forgotten(door: Door) -> None:
    answer = await door.post("/v1/m", {"series": [{"metric": "x"}]}, None)
    assert answer.json() == {"success": True}
    assert (door.store.kept, door.log.lines) == ([], [])
    assert (await door.post("/v1/m", b" " * 3000, None)).status_code == 400


async def test_what_nobody_calls_is_not_found(door: Door) -> None:
    _refused(await door.post("/v1/delete", HELLO), 404, "not-found")
    assert door.store.kept == []


async def test_a_deletion_is_an_ordinary_event_here(door: Door) -> None:
    """Its key stands in web pages: anybody could have anybody forgotten."""
    await door.post("/v1/batch", {"batch": [{"type": "delete", "userId": "u"}]})
    assert [one.type for one in door.store.kept] == ["delete"]


@pytest.mark.parametrize(
    ("client", "forwarded", "key", "address"),
    [
        ("93.184.216.34", None, OPEN_KEY, "93.184.216.34"),
        ("93.184.216.34", None, KEY, None),
        ("10.0.0.1", "151.101.1.69, 93.184.216.34, 10.9.9.9", OPEN_KEY, "93.184.216.34"),
        ("93.184.216.34", "151.101.1.69", OPEN_KEY, "93.184.216.34"),
        ("192.168.0.1", "151.101.1.69", OPEN_KEY, None),
    ],
)
async def test_the_visitor_s_address_where_the_source_wants_it(
    client: str, forwarded: str | None, key: str, address: str | None
) -> None:
    door = Door(client=client)
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    await door.post("/v1/track", HELLO, key, headers)
    await door.post("/v1/track", {**HELLO, "context": {"ip": "0.0.0.0"}}, key, headers)  # noqa: S104
    found = [one.get("context") for one in door.originals()]
    assert found == [None if address is None else {"ip": address}, {"ip": "0.0.0.0"}]  # noqa: S104


_SHOP = "https://shop.example"
_LISTED = SETTINGS.model_copy(update={"cors_origins": (_SHOP, "https://other.example")})


@pytest.mark.parametrize(
    ("settings", "origin", "allowed"),
    [
        (SETTINGS, _SHOP, "*"),
        (SETTINGS, None, "*"),
        (_LISTED, _SHOP, _SHOP),
        (_LISTED, "https://shop.example.evil", None),
        (_LISTED, "null", None),
        (_LISTED, None, None),
    ],
)
async def test_pages_of_other_sites(
    settings: ServiceSettings, origin: str | None, allowed: str | None
) -> None:
    door = Door(settings)
    headers = {} if origin is None else {"Origin": origin}
    preflight = await door.post("/v1/t", b"", None, headers, "OPTIONS")
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers.get("access-control-allow-methods") == (allowed and "POST")
    door.store.error = StoreBusy("full")
    answers = [
        preflight,
        await door.post("/v1/t", HELLO, None, headers),
        await door.post("/v1/t", HELLO, "wrong", headers),
        await door.post("/v1/t", HELLO, KEY, headers),
        await door.post("/v1/m", {}, None, headers),
    ]
    assert [one.status_code for one in answers] == [204, 401, 401, 503, 200]
    for answer in answers:
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers.get("vary") == (None if allowed == "*" else "Origin")
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_preflight_allows_what_libraries_send(door: Door) -> None:
    answer = await door.post("/v1/batch", b"", None, {"Origin": _SHOP}, "OPTIONS")
    allowed = answer.headers["access-control-allow-headers"].lower().split(", ")
    assert {"authorization", "content-type", "content-encoding"} <= set(allowed)
    assert int(answer.headers["access-control-max-age"]) > 0


async def test_an_ordinary_event_is_planned_like_the_webhook_s(door: Door) -> None:
    await door.post("/v1/track", hello("nobody").payload)
    (kept,) = door.store.kept
    assert kept.disposition.value == "rejected"
