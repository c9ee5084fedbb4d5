"""Rate and nesting, through the whole application."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Message, Scope

from conversion_relay.core.values import Json
from conversion_relay.service.http.intake import LARGE_BYTES
from support.events import track
from support.running import ADMIN, BEARER, World, world

_TOML = """
[sources.default]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
write_keys = ["env:SEGMENT_WRITE_KEY"]
rate_limit = 1

[destinations.tiktok]
access_token = "env:TIKTOK_ACCESS_TOKEN"
pixel_code = "PIXEL"
api_url = "http://127.0.0.1:9"
"""
_WRITE_KEY = "Basic d3JpdGUta2V5Og=="


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    file = tmp_path / "relay.toml"
    file.write_text(_TOML, "utf-8")
    async with world(tmp_path, RELAY_CONFIG=str(file), SEGMENT_WRITE_KEY="write-key") as one:
        yield one


async def test_a_source_beyond_its_rate_is_told_when_it_may_come_again(here: World) -> None:
    """What was taken at once is paid off before the next: 300 events are five minutes."""
    batch: list[Json] = [track("Order Completed", f"m-{number}") for number in range(300)]
    assert (await here.post(batch, secret=None)).status_code == 200
    refused = await here.post(track("Order Completed", "late"), secret=None)
    assert refused.status_code == 429
    assert refused.json()["type"].endswith(":too-many-events")
    assert 280 <= int(refused.headers["Retry-After"]) <= 291
    library = await here.client.post("/v1/track", json={}, headers={"Authorization": _WRITE_KEY})
    assert library.status_code == 429
    assert (await here.status())["events"]["planned"] == 300


async def test_no_body_is_received_from_who_is_beyond(here: World) -> None:
    await here.post([track("Order Completed", f"m-{number}") for number in range(30)], secret=None)
    statuses: list[int] = []

    async def receive() -> Message:
        raise AssertionError("the body was received")

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhook/default",
        "raw_path": b"/webhook/default",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {BEARER}".encode())],
    }
    await here.relay.http(scope, receive, send)
    assert statuses[0] == 429


async def test_the_past_has_no_rate(here: World) -> None:
    await here.post([track("Order Completed", f"m-{number}") for number in range(30)], secret=None)
    events = [track("Order Completed", f"past-{number}") for number in range(30)]
    headers = {"Authorization": f"Bearer {ADMIN}"}
    answer = await here.client.post("/api/backfill", json=events, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 30


@pytest.mark.parametrize(("levels", "disposition"), [(62, "planned"), (63, "quarantined")])
async def test_an_event_nested_too_deeply_is_quarantined_alone(
    tmp_path: Path, levels: int, disposition: str
) -> None:
    """The event and its properties are two levels of the 64 that are allowed."""
    deep = track("Order Completed", "deep")
    nested: list[object] = []
    for _ in range(levels - 1):
        nested = [nested]
    deep["properties"] = {"nested": nested, "brackets": "[" * 500}  # type: ignore[dict-item]
    async with world(tmp_path) as here:
        answer = await here.post([track("Order Completed", "before"), deep])
        assert answer.status_code == 200
        assert answer.json()[disposition] == (2 if disposition == "planned" else 1)


async def test_a_large_batch_is_kept_as_a_small_one_is(tmp_path: Path) -> None:
    """Values of large requests are read twice."""
    batch = [track("Order Completed", f"m-{number}") for number in range(40)]
    body = json.dumps(batch).replace("Lamp", "\\ud83d" * 200).encode()
    assert len(body) > LARGE_BYTES
    async with world(tmp_path) as here:
        answer = await here.post(body, secret=None)
        assert answer.json()["planned"] == 40
        assert len(await here.settled()) == 40


async def test_a_page_of_another_site_reads_every_refusal_of_the_tracking_api(here: World) -> None:
    """Whoever gives it: the router, the endpoint, the rate."""
    batch: list[Json] = [track("Order Completed", f"m-{number}") for number in range(300)]
    await here.client.post(
        "/v1/batch", json={"batch": batch}, headers={"Authorization": _WRITE_KEY}
    )
    answers = [
        await here.client.get("/v1/track"),
        await here.client.post("/v1/nothing"),
        await here.client.post("/v1/track", json={}),
        await here.client.post("/v1/track", json={}, headers={"Authorization": _WRITE_KEY}),
    ]
    assert [one.status_code for one in answers] == [405, 404, 401, 429]
    assert {one.headers["access-control-allow-origin"] for one in answers} == {"*"}
    assert "access-control-allow-origin" not in (await here.client.get("/healthz")).headers
