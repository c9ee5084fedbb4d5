"""Who is not Segment gets nothing in, and what was seen once counts once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest

from conversion_relay.core.values import Json
from support.events import order, signature
from support.running import ADMIN, BEARER, SECRET, World, world

_EVENT: Final = orjson.dumps(order("m-1"))
_SIGNED: Final = signature(SECRET, _EVENT)
_WRONG: Final = {
    "missing": None,
    "empty": "",
    "of another secret": signature("other", _EVENT),
    "of another body": signature(SECRET, _EVENT + b" "),
    "cut by one": _SIGNED[:-1],
    "cut to half": _SIGNED[:20],
    "one digit too many": _SIGNED + "0",
    "twice": _SIGNED * 2,
    "two, with a comma": f"{_SIGNED},{_SIGNED}",
    "one digit changed": ("0" if _SIGNED[0] != "0" else "1") + _SIGNED[1:],
    "not hexadecimal": "z" * 40,
    "other digits": "\u0660" * 40,
    "named": f"sha1={_SIGNED}",
}
_OPEN_PATHS: Final = {"/healthz", "/readyz", "/metrics"}


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, SEGMENT_WRITE_KEY="write-key") as one:
        yield one


async def _kept(here: World) -> int:
    return sum((await here.status())["events"].values())


@pytest.mark.parametrize("kind", sorted(_WRONG))
async def test_a_wrong_signature_lets_nothing_in(here: World, kind: str) -> None:
    given = _WRONG[kind]
    headers = [] if given is None else [(b"x-signature", given.encode())]
    answer = await here.client.post("/webhook/default", content=_EVENT, headers=headers)
    assert answer.status_code == 401
    assert await _kept(here) == 0


@pytest.mark.parametrize("length", [0, 1, 10, 39])
async def test_no_part_of_a_signature_is_enough(here: World, length: int) -> None:
    headers = {"X-Signature": _SIGNED[:length]}
    answer = await here.client.post("/webhook/default", content=_EVENT, headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "token", ["", BEARER[:-1], BEARER + "x", BEARER.upper(), f" {BEARER[1:]}", "write-key"]
)
async def test_no_other_token_is_enough(here: World, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = await here.client.post("/webhook/default", content=_EVENT, headers=headers)
    assert answer.status_code == 401
    assert await _kept(here) == 0


@pytest.mark.parametrize(
    "forged",
    [
        b"[%b,%b]",
        b"[%b\n,\t%b]",
        b" [ %b,%b]",
        b"\xef\xbb\xbf[%b,%b]",
        b"[%b,%b",
        b"[%b][%b]",
        b"%b%b",
    ],
)
async def test_nothing_rides_behind_a_signed_event(here: World, forged: bytes) -> None:
    """Segment signs the first event of a batch only, so whoever saw one could add others."""
    body = forged % (_EVENT, orjson.dumps(order("forged")))
    headers = {"X-Signature": _SIGNED}
    answer = await here.client.post("/webhook/default", content=body, headers=headers)
    assert answer.status_code in {400, 401, 503}
    assert await _kept(here) == 0
    assert not await here.settled()


async def test_replayed_requests_add_no_conversion(tmp_path: Path) -> None:
    """As a whole, after a restart, alone or in other company."""
    batch: list[Json] = [order(f"m-{number}") for number in range(20)]
    arrived: list[list[str | None]] = []
    for _ in range(2):
        async with world(tmp_path) as here:
            for again in (batch, batch, batch[5:], batch[::-1]):
                assert (await here.post(again)).status_code == 200
            for event in batch:
                assert (await here.post(event, bearer=None)).status_code == 200
            conversions = await here.settled()
        assert sum(one.copies for one in conversions) == 0
        arrived.append([one.event_id for one in conversions])
    assert sorted(map(str, arrived[0])) == sorted(f"m-{number}" for number in range(20))
    assert arrived[1] == [], "the second service found them in its ledger"


@pytest.mark.parametrize(
    "token", [None, "", "wrong", BEARER, SECRET, "write-key", ADMIN[:-1], ADMIN + "x"]
)
async def test_admin_paths_are_closed_without_the_token(here: World, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    document = (await _as_admin(here, "/api/openapi.json")).json()
    paths = {path for path in document["paths"] if path == "/" or path.startswith("/api")}
    assert len(paths) > 5
    refused: list[int] = []
    for path in sorted(paths | {"/api/openapi.json", "/api/nowhere"}):
        for method in ("GET", "POST", "DELETE"):
            answer = await here.client.request(method, path, headers=headers)
            refused.append(answer.status_code)
            assert answer.status_code in {401, 429}, path
            assert "detail" in answer.json()
    assert set(refused[:20]) == {401}, "whoever goes on guessing is told to come later"


async def test_every_path_is_an_admin_path_unless_it_is_known(here: World) -> None:
    document = (await _as_admin(here, "/api/openapi.json")).json()
    for path in document["paths"]:
        known = path in _OPEN_PATHS or path.startswith(("/webhook/", "/v1/"))
        assert known or path == "/" or path.startswith("/api/"), path


@pytest.mark.parametrize("path", ["//api/status", "/api//status", "/API/status", "/api/./status"])
async def test_no_spelling_of_a_path_goes_around_the_guard(here: World, path: str) -> None:
    answer = await here.client.get(f"http://relay{path}")
    assert answer.status_code in {401, 404}


async def _as_admin(here: World, path: str) -> httpx.Response:
    return await here.client.get(path, headers={"Authorization": f"Bearer {ADMIN}"})
