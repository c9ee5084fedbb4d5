"""Forgetting users: the admin path, and Segment's `delete` events through the webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

import httpx
import orjson
import pytest

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.http.admin.forget import PATH, Erasure, ForgetAsked, ForgottenShown
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.http.sources import Source
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Forgotten, Selection, Store
from support.events import order, track
from support.lines import Lines
from support.running import ADMIN, World, world
from support.time import START

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
    counts = {"events": 1, "originals": 1, "deliveries": 1, "match_keys": 0, "in_flight": 0}
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


@dataclass
class Forgetful:
    """A store that notes whom it shall forget, or cannot."""

    fails: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    async def forget(self, user: str, source: str | None, now: datetime) -> Forgotten:
        """See Store."""
        assert now == START
        self.asked.append((user, source))
        if self.fails:
            raise StoreUnavailable("the disk fails")
        return Forgotten()


def erasure(store: Forgetful, log: Lines) -> Erasure:
    return Erasure(cast("Store", store), lambda: START, Metrics(), log)


SOURCE = Source("shop", Credentials((b"secret",)), ())


def decoded(value: Json) -> Decoded:
    return Decoded(value, orjson.dumps(value).decode())


@pytest.mark.parametrize(
    ("value", "users"),
    [
        ({"type": "delete", "userId": "u", "anonymousId": "a"}, ["u", "a"]),
        ({"type": "delete", "userId": 5}, ["5"]),
        ({"type": "delete", "anonymousId": "a", "previousId": "p"}, ["a"]),
        ({"type": "delete"}, []),
        ({"type": "delete", "userId": ""}, []),
        ({"type": "delete", "userId": None, "anonymousId": {"a": "b"}}, []),
        ({"type": "track", "event": "delete", "userId": "u"}, []),
        ({"type": "Delete", "userId": "u"}, []),
        (["delete", "u"], []),
    ],
)
async def test_whom_an_event_wants_to_be_forgotten(value: Json, users: list[str]) -> None:
    store = Forgetful()
    assert await erasure(store, Lines()).obey(SOURCE, [decoded(value)]) is None
    assert store.asked == [(user, "shop") for user in users]


async def test_each_is_forgotten_once_of_the_events_source_alone() -> None:
    store = Forgetful()
    events = [decoded({"type": "delete", "userId": user}) for user in ("a", "b", "a")]
    await erasure(store, Lines()).obey(SOURCE, [*events, Unusable("no JSON", "{")])
    assert store.asked == [("a", "shop"), ("b", "shop")]


async def test_where_everybody_may_post_nobody_is_forgotten() -> None:
    store = Forgetful()
    everybody = Source("open", Credentials(open_to_all=True), ())
    element = decoded({"type": "delete", "userId": "u"})
    assert await erasure(store, Lines()).obey(everybody, [element]) is None
    assert store.asked == []


async def test_what_could_not_be_erased_is_sent_again() -> None:
    log, store = Lines(), Forgetful(fails=True)
    elements = [decoded({"type": "delete", "userId": user}) for user in ("secret-1", "secret-2")]
    problem = await erasure(store, log).obey(SOURCE, elements)
    assert isinstance(problem, Problem)
    assert (problem.status, problem.slug) == (503, "not-erased")
    assert "Retry-After" in problem.headers
    assert log.events == ["user.not_forgotten"]
    assert "secret" not in str(log.lines) + problem.detail


async def test_an_operator_is_told_of_a_store_that_fails() -> None:
    asked = ForgetAsked(user="u", dry_run=False)
    assert "u'" not in repr(asked)
    with pytest.raises(StoreUnavailable):
        await erasure(Forgetful(fails=True), Lines()).ask(asked)
