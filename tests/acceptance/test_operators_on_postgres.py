"""What operators do, over PostgreSQL: its ids are large and name days, and nobody minds."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import parse_fault
from support.events import order, track
from support.postgres import new_database
from support.running import ADMIN, World, world

OPERATOR = {"Authorization": f"Bearer {ADMIN}"}
MOST_SAFE_IN_JSON = 2**53


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """A dead event, a delivered one, one that no mapping wants, one of somebody else."""
    async with world(
        tmp_path,
        RELAY_DATABASE_URL=await asyncio.to_thread(new_database),
        RELAY_ENCRYPTION_KEY=base64.b64encode(bytes(32)).decode(),
        RELAY_WEAK_DURABILITY="true",
    ) as running:
        running.sandbox.faults.switch_on([parse_fault("reject_event_id=dead")])
        posted = [order("dead"), order("good"), track("Other", "unmatched")]
        assert (await running.post([*posted, order("b", userId="b", anonymousId="c")])).is_success
        await running.settled()
        running.sandbox.faults.switch_off()
        yield running


async def asked(here: World, path: str, **body: object) -> JsonObject:
    answer = await here.client.post(path, json=body, headers=OPERATOR)
    assert answer.is_success, answer.text
    found: JsonObject = answer.json()
    return found


async def events(here: World, **query: str | int) -> list[JsonObject]:
    """All of them, a page at a time."""
    found: list[JsonObject] = []
    after: int | None = 0
    while after is not None:
        answer = await here.client.get(
            "/api/events", params={"limit": 1, **query, "after": after}, headers=OPERATOR
        )
        page = answer.raise_for_status().json()
        found += page["events"]
        after = page["after"]
    return found


async def test_pages_and_single_events(here: World) -> None:
    found = await events(here)
    assert {str(one["messageId"]) for one in found} == {"dead", "good", "unmatched", "b"}
    assert len(found) == 4
    for one in found:
        number = one["id"]
        assert isinstance(number, int)
        assert 2**36 < number < MOST_SAFE_IN_JSON
        answer = await here.client.get(
            f"/api/events/{number}", params={"reveal": True}, headers=OPERATOR
        )
        assert answer.raise_for_status().json()["messageId"] == one["messageId"]
    for number in (1, 2**62):
        answer = await here.client.get(f"/api/events/{number}", headers=OPERATOR)
        assert answer.status_code == 404


@pytest.mark.parametrize("source", ["original", "as_sent"])
async def test_what_is_dead_goes_again(here: World, source: str) -> None:
    preview = await asked(here, "/api/replays", source=source)
    assert preview["counts"] == [{"event": "Order Completed", "fate": "sent", "count": 1}]
    await asked(here, "/api/replays", source=source, dry_run=False)
    conversions = await here.settled()
    assert {one.event_id for one in conversions} == {"b", "dead", "good"}


async def test_what_is_dead_is_discarded(here: World) -> None:
    await asked(here, "/api/discards", dry_run=False)
    (one,) = await events(here, state="suppressed")
    assert one["messageId"] == "dead"


async def test_a_user_is_forgotten_by_command_and_by_event(here: World) -> None:
    counted = await asked(here, "/api/forget", user="buyer-311")
    assert (counted["events"], counted["originals"]) == (3, 3)
    assert await asked(here, "/api/forget", user="buyer-311", dry_run=False) == counted
    assert [one["messageId"] for one in await events(here)] == ["b"]
    backfilled = await here.client.post(
        "/api/backfill?source=default", json=[order("late", userId="b")], headers=OPERATOR
    )
    assert backfilled.raise_for_status().json()["accepted"] == 1
    deletion = track("", "delete-1", type="delete", userId="b", anonymousId="c")
    assert (await here.post(deletion)).status_code == 200
    assert await events(here) == []
    assert (await here.post([order("dead"), order("b", userId="b")])).is_success
    assert await events(here) == [], "copies of what was erased are still recognised"
