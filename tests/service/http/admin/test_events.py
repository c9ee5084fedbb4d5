"""The admin paths: what is kept is shown, replayed, discarded; every look inside is logged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import orjson
import pytest

from conversion_relay.core.delivery import State
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.sandbox import parse_fault
from conversion_relay.service.http.admin.forms import Standing
from conversion_relay.service.http.admin.masking import MASK
from conversion_relay.service.store.port import Disposition
from support.events import order, track
from support.running import ADMIN, World, world

TOKEN = {"Authorization": f"Bearer {ADMIN}"}
SECRETS = ("Lena.Brandt@example.com", "203.0.113.7")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    """One event is dead, one delivered, one unmatched, one rejected, one in quarantine."""
    async with world(tmp_path, RELAY_ON_INVALID_FIELD="reject") as running:
        running.sandbox.faults.switch_on([parse_fault("reject_event_id=dead")])
        unusable = order("rejected", properties={"revenue": "much"})
        posted: list[Json] = [
            order("dead"),
            order("good"),
            track("Other", "unmatched"),
            unusable,
            5,
        ]
        assert (await running.post(posted)).status_code == 200
        await running.settled()
        running.sandbox.faults.switch_off()
        running.log.lines.clear()
        yield running


async def get(here: World, path: str, **asked: str | list[str]) -> JsonObject:
    answer = await here.client.get(path, params=asked, headers=TOKEN)
    assert answer.status_code == 200, answer.text
    found: JsonObject = answer.json()
    return found


async def post(here: World, path: str, form: Mapping[str, object]) -> httpx.Response:
    return await here.client.post(path, json=form, headers=TOKEN)


@pytest.mark.parametrize(
    "body",
    [
        b'{"event":"\\ud800"}',
        b'{"message_id":["\\udfff"]}',
        b'{"\\ud800":1}',
        b'{"mapping":""}',
        b'{"destination":"","state":["dead"]}',
        b'{"message_id":["m-1",""]}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"after":' + b"9" * 5_000 + b"}",
    ],
)
async def test_what_cannot_be_meant_is_an_invalid_request(here: World, body: bytes) -> None:
    headers = TOKEN | {"Content-Type": "application/json"}
    answer = await here.client.post("/api/discards", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith(":invalid-request")
    assert len(answer.json()["detail"]) > 20


async def ids(here: World, **asked: str | list[str]) -> list[str]:
    found = await get(here, "/api/events", **asked)
    assert isinstance(found["events"], list)
    return [str(one["messageId"]) for one in found["events"] if isinstance(one, dict)]


async def fates(here: World, **form: object) -> dict[tuple[str, str], int]:
    answer = await post(here, "/api/replays", form)
    assert answer.status_code == 200, answer.text
    return {(one["event"], one["fate"]): one["count"] for one in answer.json()["counts"]}


def test_what_can_be_selected_is_every_state_and_what_never_became_a_delivery() -> None:
    dispositions = {one.value for one in Disposition} - {Disposition.PLANNED.value}
    assert {one.value for one in Standing} == {one.value for one in State} | dispositions | {
        "filtered"
    }


def said(here: World) -> list[tuple[str, str, dict[str, object]]]:
    """The lines of the log without the ids of requests."""
    return [
        (level, event, {name: value for name, value in details.items() if name != "request_id"})
        for level, event, details in here.log.lines
    ]


async def test_events_by_their_state(here: World) -> None:
    assert len(await ids(here)) == 5
    assert await ids(here, state="dead") == ["dead"]
    assert set(await ids(here, state=["delivered", "unmatched"])) == {"good", "unmatched"}
    assert await ids(here, mapping="Place an Order", message_id="good") == ["good"]
    assert await ids(here, event="Order Completed", message_id=["good", "unmatched"]) == ["good"]
    assert await ids(here, event="PlaceAnOrder", state="dead") == ["dead"]
    assert await ids(here, since="2999-01-01T00:00:00Z") == []


async def test_a_name_or_id_that_is_an_address_is_masked_unless_revealed(here: World) -> None:
    await here.post(track("Signed up lena@example.com", "lena@example.com"))
    for path in ("/api/events", "/api/events/6"):
        shown, revealed = await get(here, path), await get(here, path, reveal="true")
        assert "lena@" not in str(shown)
        assert "••• text, up to 16" in str(shown)
        assert "'messageId': 'lena@example.com'" in str(revealed)
        assert "'event': 'Signed up lena@example.com'" in str(revealed)
    everything = {"state": ["unmatched"], "message_id": ["lena@example.com"]}
    assert await fates(here, **everything) == {("••• text, up to 32", "not_matched"): 1}


async def test_pages_lead_to_each_other(here: World) -> None:
    first = await get(here, "/api/events", limit="2")
    rest = await get(here, "/api/events", limit="200", after=str(first["after"]))
    assert isinstance(first["events"], list)
    assert isinstance(rest["events"], list)
    assert (len(first["events"]), len(rest["events"]), rest["after"]) == (2, 3, None)


async def test_a_page_that_reveals_is_small(here: World) -> None:
    assert (await here.post([track("Other", f"m-{n}") for n in range(60)])).status_code == 200
    first = await get(here, "/api/events", limit="200", reveal="true")
    assert isinstance(first["events"], list)
    assert (len(first["events"]), first["after"]) == (50, 50)
    assert len(await ids(here, limit="200")) == 65


async def test_nothing_personal_is_shown_unless_it_is_asked_for(here: World) -> None:
    for path in ("/api/events", "/api/events/1"):
        answer = await here.client.get(path, headers=TOKEN)
        assert "dead" in answer.text
        assert not any(secret in answer.text for secret in SECRETS)
    assert "operator.revealed" not in here.log.events


async def test_what_is_revealed_is_logged_without_a_word_of_it(here: World) -> None:
    found = await get(here, "/api/events", reveal="true", state="dead")
    assert isinstance(found["events"], list)
    (event,) = found["events"]
    assert isinstance(event, dict)
    assert orjson.loads(str(event["original"])) == order("dead")
    assert isinstance(event["deliveries"], list)
    (delivery,) = event["deliveries"]
    assert isinstance(delivery, dict)
    assert orjson.loads(str(delivery["body"]))["event_id"] == "dead"
    await get(here, f"/api/events/{event['id']}", reveal="true")
    revealed = [line for line in said(here) if line[1] == "operator.revealed"]
    assert revealed == [("info", "operator.revealed", {"events": 1, "by": "admin_token"})] * 2


async def test_an_event_shows_its_structure_with_values_masked(here: World) -> None:
    event = await get(here, "/api/events/1")
    original, delivery = event["maskedOriginal"], _only(event["deliveries"])
    assert isinstance(original, dict)
    assert original["event"] == "Order Completed"
    assert original["userId"] == f"{MASK} text, up to 16"
    assert event["original"] is None
    body = delivery["maskedBody"]
    assert isinstance(body, dict)
    assert (body["event"], body["event_id"]) == ("PlaceAnOrder", "dead")
    assert isinstance(body["user"], dict)
    assert body["user"]["email"] == [f"{MASK} hash"]
    assert delivery["body"] is None


def _only(found: Json) -> JsonObject:
    assert isinstance(found, list)
    (one,) = found
    assert isinstance(one, dict)
    return one


async def test_a_page_of_events_is_masked_when_it_is_asked_for(here: World) -> None:
    plain, masked = await get(here, "/api/events"), await get(here, "/api/events", masked="true")
    assert isinstance(plain["events"], list)
    assert isinstance(masked["events"], list)
    assert {one["maskedOriginal"] for one in plain["events"] if isinstance(one, dict)} == {None}
    shown = [one["maskedOriginal"] for one in masked["events"] if isinstance(one, dict)]
    assert all(shown)
    assert f"{MASK} number" in shown, "what is in quarantine is masked too"
    assert not any(secret in orjson.dumps(masked).decode() for secret in SECRETS)


async def test_an_event_shows_in_which_requests_it_travelled(here: World) -> None:
    event = await get(here, "/api/events/1")
    delivery = _only(event["deliveries"])
    requests = delivery["requests"]
    assert isinstance(requests, list)
    assert requests
    last = requests[-1]
    assert isinstance(last, dict)
    assert (last["destination"], last["status"], last["code"]) == ("tiktok", 200, 40002)
    assert last["requestId"]
    assert isinstance(delivery["attempts"], int)


async def test_an_event_that_is_not_kept(here: World) -> None:
    answer = await here.client.get("/api/events/99", headers=TOKEN)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_dry_run_changes_nothing(here: World) -> None:
    for _ in range(2):
        assert await fates(here) == {("Order Completed", "sent"): 1}
    assert await ids(here, state="dead") == ["dead"]
    assert not [name for name in here.log.events if name.startswith("operator.")]


async def test_a_replay_is_done_once_and_wakes_the_workers(here: World) -> None:
    assert await fates(here, dry_run=False) == {("Order Completed", "sent"): 1}
    assert ("info", "operator.replayed", {"source": "original", "deliveries": 1}) in said(here)
    assert {one.event_id for one in await here.settled()} == {"dead", "good"}
    assert await fates(here, dry_run=False) == {}
    twice = await fates(here, dry_run=False, state=["delivered"])
    assert twice == {("Order Completed", "already_delivered"): 2}
    assert all(one.copies == 0 for one in here.sandbox.ledger.conversions())


async def test_as_sent_the_same_bytes_go(here: World) -> None:
    before = await get(here, "/api/events", reveal="true", state="dead")
    assert await fates(here, source="as_sent", dry_run=False) == {("Order Completed", "sent"): 1}
    await here.settled()
    last = here.sandbox.journal.latest(1)[0]["body"]
    assert isinstance(last, dict)
    assert isinstance(last["data"], list)
    assert (
        orjson.dumps(last["data"][0]).decode()
        in orjson.loads(orjson.dumps(before))["events"][0]["deliveries"][0]["body"]
    )


async def test_what_cannot_be_made_today_either_says_why(here: World) -> None:
    form = {"state": ["rejected", "unmatched", "quarantined"], "dry_run": False}
    answer = (await post(here, "/api/replays", form)).json()
    assert {(one["event"], one["fate"]) for one in answer["counts"]} == {
        ("Order Completed", "rejected"),
        ("Other", "not_matched"),
        ("(no event)", "no_event"),
    }
    reasons = {(one["mapping"], one["field"]) for one in answer["reasons"]}
    assert ("Place an Order", "value") in reasons
    assert "much" not in str(answer), "a reason repeats no value"


async def test_discarded_is_given_up_and_can_come_back(here: World) -> None:
    dry = (await post(here, "/api/discards", {})).json()
    done = (await post(here, "/api/discards", {"dry_run": False})).json()
    again = (await post(here, "/api/discards", {"dry_run": False})).json()
    assert [one["counts"] for one in (dry, done, again)] == [{"Order Completed": 1}] * 2 + [{}]
    assert said(here) == [("info", "operator.discarded", {"deliveries": 1})]
    event = await get(here, "/api/events", state="suppressed")
    assert "discarded by an operator" in str(event)
    assert await fates(here) == {}, "it is not dead any more"
    assert await fates(here, state=["suppressed"]) == {("Order Completed", "sent"): 1}


@pytest.mark.parametrize(
    ("path", "form", "words"),
    [
        ("/api/replays", {"state": ["nope"]}, "state"),
        ("/api/replays", {"state": []}, "state"),
        ("/api/replays", {"sate": ["dead"]}, "sate"),
        ("/api/replays", {"since": "2026-01-14T09:00:00"}, "since"),
        ("/api/replays", {"after": -1}, "after"),
        ("/api/replays", {"source": "as_sent", "state": ["unmatched"]}, "from the original only"),
        ("/api/discards", {"state": ["delivered"]}, "only what is dead, held, uncertain"),
    ],
)
async def test_what_is_asked_wrongly_is_a_problem(
    here: World, path: str, form: dict[str, object], words: str
) -> None:
    """A misspelt filter must not mean that everything is selected."""
    answer = await post(here, path, form)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


async def test_the_description_names_fields_and_what_they_mean(here: World) -> None:
    described = await get(here, "/api/openapi.json")
    text = orjson.dumps(described).decode()
    for words in ("/api/replays", "/api/discards", "only say what would happen", "dry_run"):
        assert words in text
