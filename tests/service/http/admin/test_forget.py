"""Forgetting users by the admin path, and by `delete` events in the whole service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.http.admin.forget import PATH, ForgetAsked, ForgottenShown
from conversion_relay.service.store.port import Forgotten, Selection
from support.events import order, track
from support.running import ADMIN, World, world

TOKEN = {"Authorization": f"Bearer {ADMIN}"}
NOBODY = ForgottenShown.of(Forgotten()).model_dump(mode="json")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running


def of(message_id: str, user: str = "u-1", **members: Json) -> JsonObject:
    return {**order(message_id), "userId": user, "anonymousId": f"a-of-{user}", **members}


def delete(message_id: str, **members: Json) -> JsonObject:
    return {"type": "delete", "messageId": message_id, **members}


async def asked(here: World, **form: Json) -> httpx.Response:
    return await here.client.post(PATH, json=form, headers=TOKEN)


async def kept(here: World) -> list[str]:
    page = await here.relay.store.select(Selection(), 0, 100)
    return [one.message_id for one in page.events]


async def test_a_dry_run_is_what_happens_unless_told_otherwise(here: World) -> None:
    await here.post([of("m-1"), of("m-2", "u-2")])
    await here.settled()
    expected = {**NOBODY, "events": 1, "originals": 1, "deliveries": {"delivered": 1}}
    assert (await asked(here, user="u-1")).json() == expected
    assert await kept(here) == ["m-1", "m-2"]
    assert (await asked(here, user="u-1", dry_run=False)).json() == expected
    assert await kept(here) == ["m-2"]
    assert (await asked(here, user="u-1", dry_run=False)).json() == NOBODY


async def test_only_an_operator_may(here: World) -> None:
    await here.post(of("m-1"))
    answer = await here.client.post(PATH, json={"user": "u-1", "dry_run": False})
    assert answer.status_code == 401
    assert await kept(here) == ["m-1"]


@pytest.mark.parametrize(
    "form",
    [{}, {"user": ""}, {"user": 4711}, {"user": "4711", "source": ""}, {"user": "4711", "x": 1}],
)
async def test_a_wrong_question_is_not_repeated(here: World, form: dict[str, Json]) -> None:
    answer = await asked(here, **form, dry_run=False)
    assert answer.status_code == 422
    assert "4711" not in answer.text


async def test_the_log_and_the_metrics_name_nobody(here: World) -> None:
    await here.post(of("m-1", "secret-user"))
    await here.settled()
    await asked(here, user="secret-user", dry_run=False)
    (told,) = [details for _, event, details in here.log.lines if event == "user.forgotten"]
    counts = {
        "users": 1,
        "events": 1,
        "originals": 1,
        "deliveries": 1,
        "match_keys": 0,
        "in_flight": 0,
    }
    told.pop("request_id")
    assert told == {"by": "operator", "source": None, **counts}
    metrics = (await here.client.get("/metrics")).text
    assert 'relay_users_forgotten_total{by="operator"} 1.0' in metrics
    assert "secret-user" not in metrics + str(here.log.lines)


@pytest.mark.parametrize("ids", [{"userId": "u-1"}, {"anonymousId": "a-of-u-1"}])
async def test_a_delete_event_erases_its_user_and_itself(
    here: World, ids: dict[str, Json]
) -> None:
    await here.post([of("m-1"), of("m-2", "u-2"), track("Other", "m-3", userId="u-1")])
    await here.settled()
    answer = await here.post(delete("d-1", **ids))
    assert answer.status_code == 200
    left = {"m-2"} if "userId" in ids else {"m-2", "m-3"}
    assert set(await kept(here)) == left
    again = (await here.post([delete("d-1", **ids), of("m-1")])).json()
    assert (again["accepted"], again["duplicates"]) == (0, 2), "the ledger keeps both"


async def test_a_delete_event_that_came_already_erases_what_came_since(here: World) -> None:
    """The first answer may have been lost, or what it stands for may not have been done."""
    await here.post(delete("d-1", userId="u-1"))
    await here.post(of("m-1"))
    await here.post(delete("d-1", userId="u-1"))
    assert await kept(here) == []


async def test_the_events_of_its_own_request_are_erased_too(here: World) -> None:
    body: list[Json] = [of("m-1"), delete("d-1", userId="u-1"), of("m-2"), of("m-3", "u-2")]
    answer = (await here.post(body)).json()
    assert answer["accepted"] == 4
    assert await kept(here) == ["m-3"]
    conversions = await here.settled()
    assert [one.event_id for one in conversions] == ["m-3"]


async def test_a_thousand_delete_events_are_one_search(here: World) -> None:
    """Segment waits for five seconds, and one by one they would take minutes."""
    await here.post([of(f"m-{n}", f"u-{n}") for n in range(0, 1_000, 50)])
    deletes: list[Json] = [delete(f"d-{n}", userId=f"u-{n}") for n in range(1, 1_000)]
    assert (await here.post(deletes)).status_code == 200
    assert await kept(here) == ["m-0"]
    told = [details["users"] for _, event, details in here.log.lines if event == "user.forgotten"]
    assert told == [999]


@pytest.mark.parametrize("word", ["null", "0", "undefined", 0])
async def test_an_id_that_many_have_erases_nobody(here: World, word: Json) -> None:
    await here.post([of("m-1", "null"), of("m-2", "0"), of("m-3", "undefined")])
    assert (await here.post(delete("d-1", userId=word))).status_code == 200
    assert await kept(here) == ["m-1", "m-2", "m-3", "d-1"]
    assert "user.not_somebody" in here.log.events
    assert (await asked(here, user=str(word))).json()["events"] == 2, "an operator may"


@pytest.mark.parametrize("path", ["/api/backfill?source=default", "/v1/batch"])
async def test_no_other_way_in_erases_anything(tmp_path: Path, path: str) -> None:
    """Write keys are public in every page, and a backfill is of the past."""
    async with world(tmp_path, SEGMENT_WRITE_KEY="key") as here:
        await here.post(of("m-1"))
        event = delete("d-1", userId="u-1", anonymousId="a")
        body: Json = {"writeKey": "key", "batch": [event]} if "v1" in path else [event]
        answer = await here.client.post(path, json=body, headers=TOKEN if "api" in path else {})
        assert answer.status_code == 200
        assert "m-1" in await kept(here)
        assert "user.forgotten" not in here.log.events


def test_whom_is_asked_for_is_not_shown() -> None:
    assert "u'" not in repr(ForgetAsked(user="u", dry_run=False))
