"""The guard of the admin paths: scopes by method, rates, and bodies that are too large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from conversion_relay.service.http.admin.access import AdminTokens
from conversion_relay.service.http.admin.guard import MAX_BODY_BYTES, AdminGuard

READ, OPERATE = "read-token", "operate-token"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it got."""
    del scope
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def client(token: str | None = None, *, configured: bool = True) -> httpx.AsyncClient:
    tokens = AdminTokens(lambda: 0.0)
    if configured:
        tokens.renew([READ], OPERATE)
    guard = AdminGuard(echo, tokens, receive_seconds=0.05, own_limits=("/api/backfill",))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=guard), base_url="http://relay", headers=headers
    )


def slug(answer: httpx.Response) -> str:
    return str(answer.json()["type"]).rpartition(":")[2]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api", "/api/events"])
async def test_either_token_reads(method: str, path: str) -> None:
    for token in (READ, OPERATE):
        assert (await client(token).request(method, path)).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "ANYTHING"])
async def test_only_the_admin_token_changes_something(method: str) -> None:
    for path in ("/", "/api/replays", "/api/backfill", "/api/forget%0A"):
        answer = await client(READ).request(method, path.replace("\n", "%0A"))
        assert answer.status_code == (200 if method == "get" else 403), path
        if method != "get":
            assert slug(answer) == "needs-operate"
            assert "RELAY_ADMIN_TOKEN" in answer.json()["detail"]
        assert (
            await client(OPERATE).request(method, path.replace("\n", "%0A"))
        ).status_code == 200


async def test_other_paths_are_open() -> None:
    for path in ("/healthz", "/metrics", "/webhook/x", "/apis", "/v1/track"):
        assert (await client().post(path)).status_code == 200


async def test_whoever_asks_too_often_is_told_when_to_come_again() -> None:
    one = client(READ)
    answers = [await one.get("/api/status") for _ in range(101)]
    assert [answer.status_code for answer in answers] == [200] * 100 + [429]
    assert slug(answers[-1]) == "too-many-requests"
    assert answers[-1].headers["retry-after"] == "1"
    assert (await one.get("/metrics")).status_code == 200, "whoever watches is not counted"


async def test_whoever_guesses_is_slowed_down_and_nobody_else() -> None:
    one = client()
    wrong = [
        await one.get("/api/status", headers={"Authorization": f"Bearer {number}"})
        for number in range(21)
    ]
    assert [answer.status_code for answer in wrong] == [401] * 20 + [429]
    right = await one.get("/api/status", headers={"Authorization": f"Bearer {OPERATE}"})
    assert right.status_code == 200


async def test_a_body_arrives_whole() -> None:
    for body in (b"", b"{}", b"x" * MAX_BODY_BYTES):
        answer = await client(OPERATE).post("/api/replays", content=body)
        assert (answer.status_code, answer.content) == (200, body)


async def pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(-(-size // 1024)):
        yield b"x" * 1024


async def test_a_body_that_is_too_large() -> None:
    one = client(OPERATE)
    announced = await one.post("/api/replays", content=b"x" * (MAX_BODY_BYTES + 1))
    unannounced = await one.post("/api/replays", content=pieces(MAX_BODY_BYTES + 1))
    for answer in (announced, unannounced):
        assert answer.status_code == 413
        assert slug(answer) == "body-too-large"
        assert "Segment" not in answer.json()["detail"]
    own = await one.post("/api/backfill", content=b"x" * (MAX_BODY_BYTES + 1))
    assert own.status_code == 200, "it has limits of its own"


async def never() -> AsyncIterator[bytes]:
    yield b"{"
    await asyncio.Event().wait()


async def test_a_body_that_does_not_come() -> None:
    answer = await client(OPERATE).post("/api/replays", content=never())
    assert answer.status_code == 408


async def test_without_any_token_everything_is_closed() -> None:
    answer = await client(OPERATE, configured=False).get("/api/status")
    assert (answer.status_code, slug(answer)) == (403, "no-admin-token")
