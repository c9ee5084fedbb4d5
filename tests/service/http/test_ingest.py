"""The webhook's answers: what is taken, what is refused and with which words, what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from conversion_relay.core.values import Json
from support.events import order, signature
from support.running import BEARER, SECRET, World, world


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, RELAY_MAX_BODY_BYTES="200000", RELAY_MAX_EVENT_BYTES="8000") as one:
        yield one


def _problem(answer: httpx.Response, status: int, slug: str) -> str:
    """Checks a problem document and gives its detail."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:conversion-relay:problem:{slug}"
    assert document["status"] == status
    detail: str = document["detail"]
    return detail


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_each_method_of_segment_s_client(here: World, method: str) -> None:
    raw = orjson.dumps(order("m-1"))
    headers = {"X-Signature": signature(SECRET, raw)}
    answer = await here.client.request(method, "/webhook/default", content=raw, headers=headers)
    assert answer.json() == {
        "success": True,
        "accepted": 1,
        "duplicates": 0,
        "planned": 1,
        "unmatched": 0,
        "rejected": 0,
        "quarantined": 0,
        "suppressed": 0,
    }


async def test_a_slash_at_the_end_costs_no_event(here: World) -> None:
    assert (await here.post(order("m-1"), path="/webhook/default/")).json()["accepted"] == 1


async def test_get_is_not_a_way_in(here: World) -> None:
    answer = await here.client.get("/webhook/default")
    _problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["allow"]
    _problem(await here.client.get("/nowhere"), 404, "not-found")


@pytest.mark.parametrize(
    "kind", ["track", "page", "screen", "identify", "group", "alias", "delete", "new-kind"]
)
async def test_every_event_type_is_accepted(here: World, kind: str) -> None:
    answer = await here.post({"type": kind, "messageId": f"m-{kind}"})
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1


async def test_signed_or_bearing_is_enough_for_one_event(here: World) -> None:
    assert (await here.post(order("m-1"), bearer=None)).status_code == 200
    assert (await here.post(order("m-2"), secret=None)).status_code == 200
    assert (await here.settled())[0].event_id == "m-1"


@pytest.mark.parametrize(
    ("secret", "bearer", "words"),
    [
        ("wrong", None, "wrong credential"),
        ("wrong", BEARER, "wrong credential"),
        (None, "wrong", "wrong credential"),
        (None, None, "no credential"),
    ],
)
@pytest.mark.parametrize("body", [order("m-1"), [order("m-1"), order("m-2")]])
async def test_forgery_is_refused(
    here: World, body: Json, secret: str | None, bearer: str | None, words: str
) -> None:
    detail = _problem(await here.post(body, secret=secret, bearer=bearer), 401, "unauthorized")
    assert words in detail
    assert (await here.status())["events"]["planned"] == 0


async def test_a_half_signed_batch_is_held_at_the_door(here: World) -> None:
    batch: Json = [order("m-1"), order("m-2")]
    answer = await here.post(batch, bearer=None)
    detail = _problem(answer, 503, "batch-lacks-bearer")
    assert "Authorization: Bearer" in detail
    assert int(answer.headers["retry-after"]) > 0
    (line,) = here.log.lines
    assert line[:2] == ("error", "webhook.refused")
    assert line[2]["detail"] == detail, "the log says how to mend it"
    assert (await here.status())["events"]["planned"] == 0
    assert (await here.post(batch)).json()["accepted"] == 2, "nothing was lost"


async def test_a_forged_event_behind_a_signed_one_does_not_come_in(here: World) -> None:
    """Whoever saw one signed event cannot put others behind it."""
    seen = orjson.dumps(order("m-1"))
    forged = b"[" + seen + b"," + orjson.dumps(order("forged")) + b"]"
    headers = {"X-Signature": signature(SECRET, seen)}
    answer = await here.client.post("/webhook/default", content=forged, headers=headers)
    _problem(answer, 503, "batch-lacks-bearer")
    assert (await here.status())["events"]["planned"] == 0


async def test_a_batch_of_one_is_signed_as_a_whole(here: World) -> None:
    assert (await here.post([order("m-1")], bearer=None)).json()["accepted"] == 1


async def test_a_replayed_request_adds_nothing(here: World) -> None:
    for _ in range(3):
        assert (await here.post(order("m-1"), bearer=None)).status_code == 200
    (conversion,) = await here.settled()
    assert conversion.copies == 0


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "Expecting value"),
        (b"{", "character 2"),
        (b'{"type":"track"} trailing', "end of the text"),
        (b"[{},", "Expecting value"),
        (b'{"a": NaN}', "a number that JSON does not have"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"7" * 5000, "too many digits"),
        (b'{"a": ' + b"[" * 1100 + b"]" * 1100 + b"}", "nested too deeply"),
        (b'[{}, {"type": "track"} {}]', "at character 24"),
        (b"[" * 50_000, "nested too deeply"),
    ],
)
async def test_what_is_no_json_is_refused(here: World, raw: bytes, words: str) -> None:
    answer = await here.post(raw, secret=None)
    assert words in _problem(answer, 400, "unreadable-body")


@pytest.mark.parametrize(
    ("event", "reason"),
    [("text", "a string"), (7, "a number"), (None, "null"), ([], "a list"), ({}, "missing")],
)
async def test_what_is_no_event_goes_into_quarantine_and_the_rest_goes_on(
    here: World, event: Json, reason: str
) -> None:
    answer = await here.post([event, order("m-1")])
    assert answer.json() | {"quarantined": 1, "planned": 1, "accepted": 2} == answer.json()
    assert reason
    assert [one.event_id for one in await here.settled()] == ["m-1"]


async def test_limits(here: World) -> None:
    large = order("m-1", padding="x" * 9000)
    detail = _problem(await here.post(large), 413, "event-too-large")
    assert "RELAY_MAX_EVENT_BYTES" in detail
    assert (await here.post([large, order("m-2")])).json()["quarantined"] == 1
    detail = _problem(await here.post(b" " * 200_001), 413, "body-too-large")
    assert "RELAY_MAX_BODY_BYTES" in detail
    many: Json = [1] * 4001
    assert "more than 4000 events" in _problem(await here.post(many), 413, "batch-too-long")
    endless = b"[" + b"1," * 90_000 + b"oops"
    _problem(await here.post(endless, secret=None), 413, "batch-too-long")  # not read to its end
    unread = b"[" * 8001
    _problem(await here.post(b'"' + unread + b'"', secret=None), 413, "event-too-large")


async def test_a_large_first_event_does_not_cost_a_trusted_batch(here: World) -> None:
    """Without the bearer token nobody looks further than one event may reach."""
    large = order("m-1", padding="x" * 9000)
    batch: Json = [large, order("m-2")]
    _problem(await here.post(batch, bearer=None), 401, "unauthorized")
    assert (await here.post(batch)).json()["quarantined"] == 1


async def test_other_doors(here: World) -> None:
    answer = await here.post(order("m-1"), path="/webhook/unknown")
    assert "configured" in _problem(answer, 404, "unknown-source")
    headers = {"Content-Encoding": "gzip", "Authorization": f"Bearer {BEARER}"}
    answer = await here.client.post("/webhook/default", content=b"\x1f\x8b", headers=headers)
    assert "plain JSON" in _problem(answer, 415, "unsupported-encoding")


async def test_an_event_without_a_message_id_is_recognised_again(here: World) -> None:
    event = order("x")
    del event["messageId"]
    assert (await here.post(event)).json()["accepted"] == 1
    assert (await here.post(event)).json()["duplicates"] == 1
    (conversion,) = await here.settled()
    assert str(conversion.event_id).startswith("relay-")


async def test_counts_of_what_no_trigger_matches_and_of_rejections(here: World) -> None:
    await here.post({"type": "identify", "messageId": "m-1"})
    await here.post(order("m-2", properties={"products": "none", "revenue": "x"}))
    shown = (await here.client.get("/metrics")).text
    assert 'relay_events_kept_total{disposition="unmatched",source="default"} 1.0' in shown
    assert 'field="value"' in shown
    assert "lena" not in shown.lower()


async def test_nothing_personal_reaches_the_log(here: World) -> None:
    await here.post([order("m-1"), "lena.brandt@example.com", order("m-1", context="x")])
    await here.post(order("m-3"), secret="wrong")
    await here.settled()
    lines = repr(here.log.lines).lower()
    for secret in ("lena", "brandt", "1234567", "buyer-311", SECRET, BEARER, "access-token"):
        assert secret not in lines
