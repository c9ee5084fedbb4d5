"""The endpoint and its neighbours: token, content type, paths, the journal and the controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from conversion_relay.sandbox import TRACK_PATH, create_sandbox
from conversion_relay.sandbox.answers import Answer
from conversion_relay.sandbox.faults import KINDS
from conversion_relay.sandbox.journal import Arrival, Ending, Journal
from sandbox.bodies import NOW, body, event

if TYPE_CHECKING:
    from conversion_relay.sandbox.answers import Json
    from sandbox.conftest import Stage


async def test_an_acceptance_looks_like_that_of_tiktok(stage: Stage) -> None:
    response = await stage.post(body(event()))
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert answer == {
        "code": 0,
        "message": "OK",
        "request_id": "2025100908532000000000000000000001",
        "data": {},
    }


@pytest.mark.parametrize(
    ("token", "code", "verdict"),
    [("secret-token", 0, "right"), ("other-token", 40105, "wrong"), ("", 40104, "missing")],
)
async def test_the_token_is_checked_and_never_shown(
    stage: Stage, token: str, code: int, verdict: str
) -> None:
    response = await stage.post(body(event()), **{"Access-Token": token})
    assert (response.status_code, response.json()["code"]) == (200, code)
    assert len(stage.copies()) == (code == 0)
    shown = await stage.client.get("/__sandbox/requests")
    assert shown.json()["requests"][0]["token"] == verdict
    assert "-token" not in shown.text


async def test_without_configured_tokens_any_is_right() -> None:
    transport = httpx.ASGITransport(app=create_sandbox(clock=lambda: NOW))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        given = await client.post(TRACK_PATH, json=body(event()), headers={"Access-Token": "x"})
        missing = await client.post(TRACK_PATH, json=body(event()))
    assert (given.json()["code"], missing.json()["code"]) == (0, 40104)


@pytest.mark.parametrize(
    ("content_type", "raw", "code"),
    [
        ("application/json; charset=utf-8", b'{"event_source"', 40002),
        ("application/json", b"[]", 40002),
        ("application/json", b"null", 40002),
        ("application/json", b"\xff", 40002),
        ("application/json", b"", 40002),
        ("text/plain", b"{}", 40002),
        ("", b"{}", 40002),
    ],
)
async def test_what_is_not_json_is_refused_without_an_index(
    stage: Stage, content_type: str, raw: bytes, code: int
) -> None:
    headers = {"Access-Token": "secret-token", "Content-Type": content_type}
    answer = (await stage.client.post(TRACK_PATH, content=raw, headers=headers)).json()
    assert answer["code"] == code
    assert "data" not in answer["message"]


async def test_json_that_holds_no_finite_number_is_refused(stage: Stage) -> None:
    raw = b'{"event_source":"web","event_source_id":"P","data":[{"event":"a","event_time":NaN}]}'
    headers = {"Access-Token": "secret-token", "Content-Type": "application/json"}
    answer = (await stage.client.post(TRACK_PATH, content=raw, headers=headers)).json()
    assert answer["code"] == 40002


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", TRACK_PATH.rstrip("/"), 200, 40400),
        ("POST", "/open_api/v1.2/event/track/", 200, 40400),
        ("GET", TRACK_PATH, 405, 40000),
    ],
)
async def test_another_path_or_method_has_a_code_too(
    stage: Stage, method: str, path: str, status: int, code: int
) -> None:
    response = await stage.client.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("DELETE", 204)])
async def test_the_controls_have_their_own_errors(stage: Stage, method: str, status: int) -> None:
    assert (await stage.client.request(method, "/__sandbox")).status_code == status
    missing = await stage.client.get("/__sandbox/nothing")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"


async def test_the_journal_tells_each_request(stage: Stage) -> None:
    sent = body(event("a"), event("b"), test_event_code="TEST1")
    await stage.post(sent)
    assert await stage.last_request() == {
        "received_at": NOW,
        "status": 200,
        "code": 0,
        "message": "OK",
        "events": 2,
        "test_event_code": "TEST1",
        "token": "right",
        "fault": None,
        "body": sent,
    }


async def test_the_journal_shows_the_newest_as_asked(stage: Stage) -> None:
    for name in ("a", "b", "c"):
        await stage.post(body(event(name)))
    shown = (await stage.client.get("/__sandbox/requests?limit=2")).json()
    ids = [request["body"]["data"][0]["event_id"] for request in shown["requests"]]
    assert (ids, shown["total"]) == (["b", "c"], 3)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "two", ""])
async def test_an_unusable_limit_is_refused(stage: Stage, limit: str) -> None:
    response = await stage.client.get("/__sandbox/requests", params={"limit": limit})
    assert response.status_code == 422


def _arrival(raw: bytes) -> Arrival:
    return Arrival(NOW, "right", "application/json", raw, None)


@pytest.mark.parametrize(
    ("max_requests", "max_body_bytes", "bodies"),
    [(3, 100, [2, 3, 4]), (5, 3, [None, None, 2, 3, 4]), (4, 1, [None, None, None, 4])],
)
def test_the_journal_is_bounded_in_number_and_in_bytes(
    max_requests: int, max_body_bytes: int, bodies: list[Json]
) -> None:
    journal = Journal(max_requests, max_body_bytes)
    for number in range(5):
        journal.write(_arrival(str(number).encode()), Ending(200, Answer(0, "OK")))
    assert [entry["body"] for entry in journal.latest()] == bodies
    assert journal.written == 5


async def test_faults_are_switched_on_shown_and_switched_off(stage: Stage) -> None:
    on = await stage.client.post(
        "/__sandbox/faults", json={"fault": "server_error", "value": 503, "count": 2}
    )
    assert on.status_code == 200
    assert (await stage.post(body(event()))).status_code == 503
    shown = (await stage.client.get("/__sandbox/faults")).json()["faults"]
    assert shown == [
        {
            "fault": "server_error",
            "value": 503,
            "count": 2,
            "probability": 1.0,
            "spelling": "dotted",
            "struck": 1,
        }
    ]
    assert (await stage.client.delete("/__sandbox/faults")).status_code == 204
    assert (await stage.post(body(event()))).status_code == 200


@pytest.mark.parametrize(
    "described",
    [
        {"fault": "unheard_of"},
        {"fault": "server_error", "value": 200},
        {"fault": "server_error", "value": True},
        {"fault": "server_error", "times": 5},
        {"fault": "server_error", "count": 0},
        {"fault": "reset", "probability": 0},
        {"fault": "reset", "value": 1},
        {"fault": "reject_index"},
        {"value": 5},
        "reset",
        None,
        [{"fault": "reset"}, {"fault": "unheard_of"}],
    ],
)
async def test_an_unusable_fault_is_refused_with_the_known_ones(
    stage: Stage, described: Json
) -> None:
    response = await stage.client.post("/__sandbox/faults", json=described)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["known_faults"] == list(KINDS)
    assert (await stage.client.get("/__sandbox/faults")).json() == {"faults": []}


async def test_forgetting_leaves_a_fresh_sandbox(stage: Stage) -> None:
    await stage.post(body(event("a")))
    stage.switch_on("reset")
    assert (await stage.client.delete("/__sandbox")).status_code == 204
    assert (await stage.client.get("/__sandbox/conversions")).json() == {"conversions": []}
    assert (await stage.client.get("/__sandbox/requests")).json() == {"requests": [], "total": 0}
    await stage.post(body(event("a")))
    assert stage.copies() == {"a": 0}
