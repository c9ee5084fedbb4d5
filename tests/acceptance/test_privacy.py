"""Canaries: personal data and secrets that can be told from all else, on every path there is.

They go through every way in, every refusal and every failure of TikTok's, one of which sends back
what it was sent. Then everything the service wrote is searched: its log, metrics, answers,
listings, and each byte of each file beside the database. Names of events and messageIds are no
personal data: they stay readable.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import itertools
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest

from conversion_relay.core.values import JsonObject
from faults.process import Service, until
from support.events import order, signature
from support.running import ADMIN, BEARER, SECRET, environment

_WRITE_KEY: Final = "canary-write-key-5d1c"
_SECRETS: Final = (SECRET, BEARER, ADMIN, "access-token", _WRITE_KEY)
_PERSONAL: Final[Mapping[str, str]] = {
    "email": "canary.mail.7f3a@example.com",
    "phone": "+4915199887766",
    "ip": "198.51.100.213",
    "first_name": "Canarinia",
    "last_name": "Zwitscherling",
    "city": "Canaryhausen",
    "user": "canary-user-81c2",
    "anonymous": "canary-anonymous-44e0",
    "click": "canary-click-19bd",
    "agent": "CanaryBrowser/9.7",
    "token in a url": "canary-url-token-a7",
    "order": "canary-order-55f1",
    "product": "Canary Seed Deluxe",
}
_STANDINGS: Final = (
    "dead", "uncertain", "held", "suppressed", "pending", "claimed", "delivered", "unmatched",
    "rejected", "quarantined",
)  # fmt: skip
_numbers = itertools.count(1)


def _event(**changes: object) -> JsonObject:
    """An order of the canary's."""
    found = _PERSONAL
    context = {
        "ip": found["ip"],
        "userAgent": found["agent"],
        "page": {"url": f"https://shop.example/?ttclid={found['click']}"
                        f"&token={found['token in a url']}"},
        "traits": {
            "email": found["email"],
            "phone": found["phone"],
            "first_name": found["first_name"],
            "last_name": found["last_name"],
            "address": {"city": found["city"]},
        },
    }  # fmt: skip
    products = [{"product_id": "p-1", "name": found["product"], "price": 5, "quantity": 1}]
    properties = {"order_id": found["order"], "products": products, "currency": "EUR"}
    people = {"userId": found["user"], "anonymousId": found["anonymous"]}
    who = {**people, "context": context, "properties": properties}
    return order(f"m-{next(_numbers)}", **(who | changes))


def _broken() -> Iterator[bytes]:
    """Events that go into quarantine, are rejected or refused, with canaries inside."""
    good = orjson.dumps(_event())
    canary = _PERSONAL["email"]
    yield good[:-40]
    yield good.replace(b"5", b"NaN", 1)
    yield orjson.dumps(_event(type={"a": canary}))
    yield orjson.dumps(_event(type=canary))
    yield orjson.dumps(_event(timestamp=canary, properties={"currency": canary, "value": canary}))
    yield orjson.dumps(_event(properties={"products": canary, "revenue": canary}))
    yield orjson.dumps(_event(integrations={"All": False, canary: {canary: canary}}))
    yield orjson.dumps(_event(context={"consent": {"categoryPreferences": {canary: canary}}}))
    yield orjson.dumps([canary, {canary: canary}, _event(), [canary]])
    yield orjson.dumps(canary)
    yield orjson.dumps(_event(padding=canary * 4000))
    yield b'{"%b": ' % canary.encode() + b"[" * 2000


@asynccontextmanager
async def _echo() -> AsyncIterator[str]:
    """A TikTok that refuses everything, and says back in its message what it was sent."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        sent = (await reader.readexactly(length)).decode()
        status = next(statuses)
        message = f"Invalid value for data.0.properties: {sent} {head.decode()}"
        body = orjson.dumps({"code": 40002 if status == 200 else 50000, "message": message})
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                     % (status, len(body), body))  # fmt: skip
        await writer.drain()
        writer.close()

    statuses = itertools.cycle((200, 500, 200, 401))
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=2**24)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _through_every_way_in(client: httpx.AsyncClient) -> list[str]:
    """What the answers were; the client trusts nothing and has no proxy."""
    answers: list[httpx.Response] = []
    bearer = {"Authorization": f"Bearer {BEARER}"}
    basic = {"Authorization": "Basic " + base64.b64encode(f"{_WRITE_KEY}:".encode()).decode()}
    batch = orjson.dumps([_event(), _event(type="identify")])
    canary = _PERSONAL["email"]
    bodies = [orjson.dumps(_event()), batch, *_broken()]
    for body in bodies:
        answers.append(await client.post("/webhook/default", content=body, headers=bearer))
        answers.append(await client.post("/v1/track", content=body, headers=basic))
        inside = b'{"batch":[%b],"sentAt":"x"}' % body
        answers.append(await client.post("/v1/batch", content=inside, headers=basic))
    identify = orjson.dumps(_event(type="identify", traits={"email": canary}))
    for headers in ({}, {"X-Signature": signature("other", batch)}, {"X-Signature": canary},
                    {"Authorization": f"Bearer {canary}"}, {"Authorization": canary},
                    {"X-Signature": signature(SECRET, orjson.dumps(_event()))}):  # fmt: skip
        answers.append(await client.post("/webhook/default", content=batch, headers=headers))
        answers.append(await client.post("/v1/batch", content=batch, headers=headers))
    answers.append(await client.post("/v1/identify", content=identify, headers=basic))
    packed = {**basic, "Content-Encoding": "gzip"}
    answers += [
        await client.post("/v1/identify", content=content, headers=packed)
        for content in (gzip.compress(identify), gzip.compress(identify)[:-9], identify)
    ]
    strange = (
        f"/webhook/{canary}",
        f"/{canary}",
        f"/v1/{canary}?writeKey={_WRITE_KEY}",
        f"/api/events?message_id={canary}&state={canary}",
        f"/?token={ADMIN}",
    )
    for path in strange:
        answers.append(await client.post(path, content=batch, headers=bearer))
        answers.append(await client.get(path, headers={"Authorization": f"Bearer {ADMIN}"}))
    return [f"{one.headers} {one.text}" for one in answers]


async def _listings(client: httpx.AsyncClient) -> list[str]:
    admin = {"Authorization": f"Bearer {ADMIN}"}
    texts = [(await client.get("/metrics")).text]
    texts += [
        (await client.get(path, headers=admin)).text
        for path in ("/api/status", "/api/lanes", "/api/match-keys", "/api/events")
    ]
    for standing in _STANDINGS:
        shown = await client.get("/api/events", params={"state": standing}, headers=admin)
        assert shown.status_code == 200
        texts.append(shown.text)
    return texts


async def _commands(service: Service, folder: Path) -> list[str]:
    """What the operator's commands print, without --reveal."""
    variables = environment(folder, service.api_url, RELAY_PORT=str(service.port))
    variables |= service.changes
    everything = [part for one in _STANDINGS for part in ("--state", one)]
    texts: list[str] = []
    for arguments in (["dead-letters", "list", *everything], ["check"], ["match-keys"],
                      ["replay", *everything], ["forget", "nobody"],
                      ["forget", _PERSONAL["user"], "--dry-run"]):  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "conversion_relay", *arguments, env=variables,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await process.communicate()
        assert process.returncode == 0, printed.decode()
        texts.append(printed.decode())
    return texts


def _spellings(canary: str) -> Iterator[bytes]:
    """How it could be written down."""
    raw = canary.encode()
    yield from (raw, raw.lower(), raw.upper(), canary.encode("utf-16-le"), raw.hex().encode())
    for skipped in range(3):  # base64 of a text that begins before it
        coded = base64.b64encode(b"x" * skipped + raw)
        yield coded[4 if skipped else 0 : -4]
    yield canary.replace("@", "%40").replace("+", "%2B").replace(" ", "%20").encode()


def _found_in(content: bytes) -> set[str]:
    known = {secret: secret for secret in _SECRETS} | dict(_PERSONAL)
    return {
        name
        for name, canary in known.items()
        if any(form in content for form in _spellings(canary))
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_canary_is_found_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    changes = {"SEGMENT_WRITE_KEY": _WRITE_KEY, "RELAY_MATCH_KEYS": "true"}
    async with _echo() as api_url:
        service = Service(tmp_path, api_url, changes=changes)
        await service.start()
        written: list[str] = []
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
            written += await _through_every_way_in(client)
            await until(lambda: b"delivery.dead" in service.log.read_bytes(), 60, "a dead letter")
            await service.kill()
            await service.start()
            written += await _through_every_way_in(client)
            written += await _listings(client)
            written += await _commands(service, folder)
        files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        await service.stop()
    files |= {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    log = service.log.read_bytes()
    assert len(log.splitlines()) > 50, "the search was not in vain"
    assert sum(map(len, files.values())) > 100_000
    assert _found_in(log) == set()
    for text in written:
        assert _found_in(text.encode()) == set(), text[:400]
    for path, content in files.items():
        assert os.fspath(path.name) == path.name
        assert _found_in(content) == set(), path


def test_the_search_finds_what_is_there() -> None:
    for name, canary in _PERSONAL.items():
        for form in _spellings(canary):
            assert name in _found_in(b"..." + form + b"...")
        assert name in _found_in(base64.b64encode(f'{{"a": "{canary}"}} and more'.encode()))
    assert _found_in(b"nothing of it") == set()
