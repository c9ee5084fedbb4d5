"""The admin paths as a dashboard uses them: a read token changes nothing and reveals nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import parse_fault
from support.events import order, track
from support.running import ADMIN, BEARER, SECRET, World, world

READ: Final = "read-token"
PERSONAL: Final = (
    *("Lena", "Brandt", "example.com", "203.0.113.7", "Berlin", "10115", "buyer-311"),
    *("anonymous-9f", "click-1", "Mozilla", "1234567", "order-77"),
)
SECRETS: Final = (SECRET, BEARER, ADMIN, READ, "access-token")
REVEALING: Final = ("true", "1", "yes", "on", "True", "t")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """An event of each kind, one of them dead."""
    async with world(tmp_path, RELAY_READ_TOKEN=READ) as running:
        running.sandbox.faults.switch_on([parse_fault("reject_event_id=dead")])
        address = order("quarantined", type={"Lena.Brandt@example.com": "Lena Brandt"})
        posted: list[Json] = [
            *(order("dead"), order("good"), track("Other", "unmatched"), address),
            *("Lena.Brandt@example.com", 5),
        ]
        assert (await running.post(posted)).status_code == 200
        await running.settled()
        running.sandbox.faults.switch_off()
        yield running


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def described(here: World) -> JsonObject:
    answer = await here.client.get("/api/openapi.json", headers=bearer(READ))
    found: JsonObject = answer.raise_for_status().json()
    paths = found["paths"]
    assert isinstance(paths, dict)
    return paths


def operations(paths: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    """Path, method and description of every admin path."""
    for path, item in paths.items():
        if (path == "/" or path.startswith("/api")) and isinstance(item, dict):
            for method, operation in item.items():
                assert isinstance(operation, dict)
                yield path, method, operation


def filled(path: str) -> str:
    """The path with something in the place of its parameters."""
    return re.sub(r"\{(\w+)\}", lambda found: "tiktok" if found[1] == "destination" else "1", path)


async def test_a_read_token_sees_everything_that_is_not_personal(here: World) -> None:
    asked = {"message_id": "dead", "masked": "true", "value": "true"}
    known = {"/api/report": {"since": "2026-11-20T00:00:00Z"}}
    seen = 0
    for path, method, operation in operations(await described(here)):
        if method != "get":
            continue
        parameters = operation.get("parameters", [])
        assert isinstance(parameters, list)
        names = {str(one["name"]) for one in parameters if isinstance(one, dict)}
        given: dict[str, str] = {
            name: asked[name] for name in ("message_id", "masked", "value") if name in names
        }
        for page in ({}, given, known.get(path, {})):
            answer = await here.client.get(filled(path), params=page, headers=bearer(READ))
            assert answer.status_code not in {401, 403}, path
            assert not [one for one in (*PERSONAL, *SECRETS) if one in answer.text], path
        seen += 1
    assert seen >= 12


async def test_a_read_token_reveals_nothing(here: World) -> None:
    for path in ("/api/events", "/api/events/1"):
        for word in REVEALING:
            answer = await here.client.get(path, params={"reveal": word}, headers=bearer(READ))
            assert answer.status_code == 403
            assert answer.json()["type"].endswith(":needs-operate")
        answer = await here.client.get(
            path, params=[("reveal", "false"), ("reveal", "true")], headers=bearer(READ)
        )
        assert not [one for one in PERSONAL if one in answer.text]
    assert "operator.revealed" not in here.log.events


async def test_a_read_token_changes_nothing(here: World) -> None:
    before, lines = await here.status(), list(here.log.events)
    forms: tuple[Json, ...] = ({}, {"dry_run": False}, {"dry_run": True}, {"user": "buyer-311"})
    for path, method, _ in operations(await described(here)):
        if method == "get":
            continue
        for form in forms:
            answer = await here.client.request(
                method, filled(path), json=form, headers=bearer(READ)
            )
            assert answer.status_code == 403, path
            assert answer.json()["type"].endswith(":needs-operate")
    assert await here.status() == before
    assert list(here.log.events) == lines


async def test_the_document_says_which_token_opens_a_path(here: World) -> None:
    reading: Json
    for path, method, operation in operations(await described(here)):
        schemes = operation["security"]
        reading = [{"ReadToken": []}, {"AdminToken": []}]
        assert schemes == (reading if method == "get" else [{"AdminToken": []}]), path
        responses = operation["responses"]
        assert isinstance(responses, dict)
        assert {"401", "403", "429"} <= responses.keys(), path


async def test_every_admin_path_explains_what_it_answers(here: World) -> None:
    """Whoever makes a page of it has nothing else."""
    answer = await here.client.get("/api/openapi.json", headers=bearer(READ))
    schemas = orjson.loads(answer.content)["components"]["schemas"]
    for path, method, operation in operations(await described(here)):
        assert operation.get("summary"), (method, path)
    for name in (
        "FlowAnswer",
        "WaitingAnswer",
        "AlertShown",
        "ConfiguredDestination",
        "EventShown",
    ):
        assert schemas[name]["description"]


async def test_what_an_operator_reveals_is_logged_with_the_token(here: World) -> None:
    answer = await here.client.get(
        "/api/events/1", params={"reveal": "true"}, headers=bearer(ADMIN)
    )
    assert "Lena.Brandt@example.com" in answer.json()["original"]
    (line,) = [line for line in here.log.lines if line[1] == "operator.revealed"]
    assert (line[2]["by"], line[2]["events"]) == ("admin_token", 1)
    assert ADMIN not in str(line)


async def test_many_readers_at_once_are_slowed_down_and_the_door_stays_open(here: World) -> None:
    asked = [here.client.get("/api/sources", headers=bearer(READ)) for _ in range(250)]
    answers: list[httpx.Response] = await asyncio.gather(*asked)
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert (await here.client.get("/healthz")).status_code == 200
    assert (await here.post(order("m-9"))).status_code == 200
