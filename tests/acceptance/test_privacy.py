"""Canaries: personal data and secrets that can be told from all else, on every path there is.

They go through every way in, every refusal and every failure of TikTok's, one of which sends back
what it was sent. Then everything the service wrote is searched: its log, metrics, answers,
listings, alerts, reports, and each byte of each file beside the database. Names of events and
messageIds are no personal data: they stay readable. Those that are an address nevertheless are
found in the database alone.
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
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest

from conversion_relay.core.values import JsonObject
from conversion_relay.service.app import now
from conversion_relay.service.http.admin.configuration import RELOAD, ROLLBACK
from conversion_relay.service.http.admin.report import Format
from faults.process import Service, until
from support.alerts import Receiver, receiving
from support.events import order, signature
from support.ports import free_port
from support.running import ADMIN, BEARER, SECRET, environment

_WRITE_KEY: Final = "canary-write-key-5d1c"
_READ: Final = "canary-read-token-77ab"
_HOOK_SECRET: Final = "canary-hook-secret-9e20"
_IN_ADDRESSES: Final = ("canary-slack-path-c3", "canary-hook-path-b8", "canary-smtp-password-d6")
_SECRETS: Final = (
    SECRET, BEARER, ADMIN, "access-token", _WRITE_KEY, _READ, _HOOK_SECRET, *_IN_ADDRESSES
)  # fmt: skip
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
_NAMES: Final[Mapping[str, str]] = {
    "event name": "canary.name.b1@example.com",
    "partner's name": "canary.sent.e4@example.com",
    "messageId": "canary.message.f5@example.com",
    "request id": "canary.request.a9@example.com",
}
"""What the sender chose badly: kept as it is, and told to nobody who did not ask for it."""
_TEMPLATED: Final = {
    "name": "Named by the event",
    "subscribe": 'properties.kind = "named"',
    "partnerAction": "reportWebEvent",
    "mapping": {
        "event": {"@path": "$.properties.named"},
        "event_id": {"@path": "$.messageId"},
        "email": {"@path": "$.context.traits.email"},
        "properties": {"currency": {"@path": "$.properties.currency"}, "value": 5},
    },
}
_FORMS: Final = tuple(form.value for form in Format)
_NOT_ALL_WELL: Final = {"alerts", "verify"}
"""Commands that find a mail server that takes no connection, and an event that is none."""
_ASKED: Final = {"/api/deliveries", "/api/report"}
"""What these are asked for has to be said."""
_TOML: Final = """
[sources.default]
signing_secrets = ["env:SEGMENT_SHARED_SECRET"]
bearer_tokens = ["env:RELAY_BEARER_TOKEN"]
write_keys = ["env:SEGMENT_WRITE_KEY"]
match_keys = true
[destinations.tiktok]
access_token = "env:TIKTOK_ACCESS_TOKEN"
pixel_code = "PIXEL"
api_url = "API_URL"
mappings = "mappings.json"
"""
_PRESETS: Final = Path(__file__).resolve().parents[2] / "presets" / "tiktok-conversions.json"
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
    named = {"kind": "named", "named": _NAMES["partner's name"], "currency": canary}
    yield orjson.dumps(_event(event=_NAMES["event name"], properties=named))
    yield orjson.dumps(_event(messageId=_NAMES["messageId"]))
    yield orjson.dumps(_event(messageId=f"{canary}\n" * 500, properties=named))
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
    bearer |= {"X-Request-Id": _NAMES["request id"], "traceparent": _NAMES["request id"]}
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
    """What the admin paths say to either token, while nothing is revealed."""
    admin, reader = ({"Authorization": f"Bearer {one}"} for one in (ADMIN, _READ))
    texts = [(await client.get("/metrics")).text]
    texts += [
        (await client.get(path, headers=headers)).raise_for_status().text
        for path in await _readable_paths(client)
        for headers in (admin, reader)
    ]
    for path in (RELOAD, ROLLBACK):
        for body in (b"{}", b'{"dry_run": true, "version": 1}', b'{"version": 1, "accept": true}'):
            texts.append((await client.post(path, content=body, headers=admin)).text)
    for standing in _STANDINGS:
        shown = await client.get("/api/events", params={"state": standing}, headers=admin)
        assert shown.status_code == 200
        texts.append(shown.text)
    return texts


async def _commands(service: Service, folder: Path) -> list[str]:
    """What the operator's commands print, without --reveal."""
    variables = environment(folder, service.api_url, RELAY_PORT=str(service.port))
    variables |= service.changes
    exported = str(service.folder / "events.ndjson")
    everything = [part for one in _STANDINGS for part in ("--state", one)]
    texts: list[str] = []
    for arguments in (["dead-letters", "list", *everything], ["check"], ["match-keys"],
                      ["replay", *everything], ["forget", "nobody"],
                      ["forget", _PERSONAL["user"], "--dry-run"], ["status"],
                      ["status", "--json"], ["events", "list"], ["report", "--since", "1h"],
                      ["config", "show"], ["config", "versions"], ["config", "diff", "1"],
                      ["verify", "--offline", "--allow-rejections", "999", "--against", exported],
                      ["alerts", "test"]):  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "conversion_relay", *arguments, env=variables,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = await process.communicate()
        assert process.returncode == int(arguments[0] in _NOT_ALL_WELL), printed.decode()
        texts.append(printed.decode())
    return texts


async def _readable_paths(client: httpx.AsyncClient) -> list[str]:
    """Every path that is described and can be read, with what it can be asked for."""
    reader = {"Authorization": f"Bearer {_READ}"}
    described = (await client.get("/api/openapi.json", headers=reader)).json()["paths"]
    plain = [path for path, ways in described.items() if "get" in ways and path not in _ASKED]
    paths = ["/api/events?masked=true&limit=50", "/api/waiting?value=true", "/api/openapi.json"]
    paths += ["/api/requests?limit=500", "/api/deliveries?message_id=m-1", "/"]
    listed = (await client.get("/api/events", headers=reader)).json()["events"]
    paths += [f"/api/events/{event['id']}" for event in listed[:60]]
    paths += [f"/api/report?since={_yesterday()}&format={form}" for form in _FORMS]
    return paths + [path.replace("{event}", "1").replace("{number}", "1") for path in plain]


def _yesterday() -> str:
    return f"{now() - timedelta(days=1):%Y-%m-%dT%H:%MZ}"


def _settings(folder: Path, api_url: str, receiver: str) -> dict[str, str]:
    """Everything is on, and every secret that there can be is set."""
    slack, hook, password = _IN_ADDRESSES
    file = folder / "relay.toml"
    file.write_text(_TOML.replace("API_URL", api_url))
    mappings = folder / "mappings.json"
    presets = orjson.loads(_PRESETS.read_bytes())
    mappings.write_bytes(orjson.dumps({**presets, "presets": [*presets["presets"], _TEMPLATED]}))
    broken = [one for one in _broken() if one.startswith(b"{") and one.endswith(b"}")]
    (folder / "events.ndjson").write_bytes(b"\n".join([orjson.dumps(_event()), *broken]))
    return {
        "SEGMENT_WRITE_KEY": _WRITE_KEY,
        "RELAY_CONFIG": str(file),
        "RELAY_READ_TOKEN": _READ,
        "RELAY_ALERT_SLACK_URL": f"{receiver}/services/{slack}",
        "RELAY_ALERT_WEBHOOK_URL": f"{receiver}/hook?key={hook}",
        "RELAY_ALERT_WEBHOOK_SECRET": _HOOK_SECRET,
        "RELAY_SMTP_URL": f"smtps://alerts:{password}@127.0.0.1:{free_port()}",
        "RELAY_ALERT_EMAIL_FROM": "relay@shop.example",
        "RELAY_ALERT_EMAIL_TO": "team@shop.example",
        "RELAY_ALERT_ALLOW_PRIVATE_ADDRESSES": "true",
    }


def _spellings(canary: str) -> Iterator[bytes]:
    """How it could be written down."""
    raw = canary.encode()
    yield from (raw, raw.lower(), raw.upper(), canary.encode("utf-16-le"), raw.hex().encode())
    for skipped in range(3):  # base64 of a text that begins before it
        coded = base64.b64encode(b"x" * skipped + raw)
        yield coded[4 if skipped else 0 : -4]
    yield canary.replace("@", "%40").replace("+", "%2B").replace(" ", "%20").encode()


def _found_in(content: bytes, others: Mapping[str, str] = _NAMES) -> set[str]:
    known = {secret: secret for secret in _SECRETS} | {**_PERSONAL, **others}
    return {
        name
        for name, canary in known.items()
        if any(form in content for form in _spellings(canary))
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_canary_is_found_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    alerts = Receiver()
    async with _echo() as api_url, receiving(alerts) as receiver:
        changes = _settings(tmp_path, api_url, receiver)
        service = Service(tmp_path, api_url, changes=changes)
        await service.start()
        written: list[str] = []
        async with httpx.AsyncClient(base_url=service.url, trust_env=False) as client:
            written += await _through_every_way_in(client)
            await until(lambda: b"delivery.dead" in service.log.read_bytes(), 60, "a dead letter")
            await until(lambda: len(alerts.got) > 1, 90, "alerts by both webhooks")
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
    written += [f"{headers} {body.decode()}" for headers, body in alerts.got]
    for text in written:
        assert _found_in(text.encode()) == set(), text[:400]
    for path, content in files.items():
        assert os.fspath(path.name) == path.name
        assert _found_in(content, {}) == set(), path


def test_the_search_finds_what_is_there() -> None:
    for name, canary in {**_PERSONAL, **_NAMES}.items():
        for form in _spellings(canary):
            assert name in _found_in(b"..." + form + b"...")
        assert name in _found_in(base64.b64encode(f'{{"a": "{canary}"}} and more'.encode()))
    assert _found_in(b"nothing of it") == set()
