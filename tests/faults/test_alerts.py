"""Broken on purpose, for real: the alert has to reach its webhook within a minute.

The same kinds, and what resolves them, are shown in virtual time by acceptance/test_alerts.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, cast

import httpx
import orjson
import pytest

from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import Sandbox, create_sandbox, parse_fault
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import Outside, open_relay
from conversion_relay.service.configuration import load
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.settings import ServiceSettings
from conversion_relay.service.store.history import FlowCount
from conversion_relay.service.store.port import Store
from conversion_relay.service.stores import keep_in_database
from faults.conftest import Report, size_of
from faults.process import Segment, Service, Shop
from support.events import signature
from support.lines import Lines
from support.running import SECRET, environment

_WITHIN_SECONDS: Final = 60
_TOKEN: Final = "access-token"


@dataclass(slots=True)
class _Scene:
    """One service under way, and what is known of it."""

    service: Service
    sandbox: Sandbox
    shop: Shop
    alerts: asyncio.Queue[tuple[float, str]]
    posting: bool = True
    batch: Callable[[Shop], list[JsonObject]] = field(default=lambda shop: shop.events(2))
    secret: str = SECRET


_Injection = Callable[[_Scene], Awaitable[None]]


def _fault(text: str) -> _Injection:
    async def inject(scene: _Scene) -> None:
        scene.sandbox.faults.switch_on([parse_fault(text)])

    return inject


async def _revoke(scene: _Scene) -> None:
    scene.sandbox.access_tokens = frozenset({"another-token"})


async def _rename_fields(scene: _Scene) -> None:
    """As a shop's new release does: the name of TikTok's event is no longer where it was."""

    def renamed(shop: Shop) -> list[JsonObject]:
        return [one | {"properties": {"tiktokEvent": "Purchase"}} for one in shop.events(2)]

    scene.batch = renamed


async def _lose_the_database(scene: _Scene) -> None:
    folder = scene.service.folder / "data"
    (folder / "relay.db").rename(folder / "gone.db")


async def _forget_the_secret(scene: _Scene) -> None:
    scene.secret = "a-wrong-secret"


async def _fall_silent(scene: _Scene) -> None:
    scene.posting = False


async def _nothing(_: _Scene) -> None:
    """It was broken from the start."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A way to break, and which rules may say so."""

    name: str
    rules: frozenset[str]
    inject: _Injection
    changes: dict[str, str] = field(default_factory=dict)
    before_seconds: float = 15


def _kind(name: str, rules: str, inject: _Injection, **changes: str) -> _Kind:
    before = 0.0 if inject is _nothing else 15.0
    return _Kind(name, frozenset(rules.split()), inject, changes, before)


_MAPPING: Final = [
    {
        "name": "By name",
        "subscribe": 'type = "track"',
        "partnerAction": "reportWebEvent",
        "mapping": {
            "event": {"@path": "$.properties.tiktok_event"},
            "event_id": {"@path": "$.messageId"},
            "email": {"@path": "$.userId"},
        },
    }
]
_KINDS: Final = (
    _kind("token revoked", "lane_held", _revoke),
    _kind("bad signatures", "signature_failures", _forget_the_secret),
    _kind("5xx", "lane_open delivery_failing", _fault("server_error=502")),
    _kind("429", "throttled", _fault("throttle=300")),
    _kind("time-out", "lane_open delivery_failing", _fault("timeout")),
    _kind("200 with a code", "lane_open delivery_failing", _fault("code=50000")),
    _kind("mapping error", "rejections_rising", _rename_fields, RELAY_MAPPINGS="MAPPINGS"),
    _kind("store down", "store_failing", _lose_the_database),
    _kind("disk nearly full", "disk_nearly_full", _nothing, RELAY_ALERT_DISK_USED="0.0001"),
    _kind("backlog age", "backlog_age", _fault("timeout=15"), RELAY_ALERT_BACKLOG_AGE="10s"),
    _kind("silence", "silence", _fall_silent),
)


@pytest.mark.slow
async def test_every_failure_is_known_within_a_minute(tmp_path: Path, report: Report) -> None:
    kinds = _KINDS[: size_of(quick=2, short=len(_KINDS), full=len(_KINDS))]
    at_once = asyncio.Semaphore(6)

    async def one(number: int, kind: _Kind) -> float:
        async with at_once:
            return await _seconds_until_known(kind, tmp_path / str(number), number)

    found = await asyncio.gather(*(one(number, kind) for number, kind in enumerate(kinds)))
    told = ", ".join(f"{kind.name} {took:.0f} s" for kind, took in zip(kinds, found, strict=True))
    report(13, f"from failure to alert: {told}")
    assert max(found) <= _WITHIN_SECONDS


@pytest.mark.slow
async def test_a_stuck_worker_is_known_within_a_minute(tmp_path: Path, report: Report) -> None:
    """Its database never answers any more: in this process, for a process cannot be told to."""
    if size_of(quick=0, short=1, full=1) == 0:
        pytest.skip("takes its time: make test-faults")
    stuck, alerts = asyncio.Event(), asyncio.Queue[tuple[float, str]]()

    async def keep(settings: ServiceSettings, present: datetime, metrics: Metrics) -> Store:
        return cast("Store", _Stuck(await keep_in_database(settings, present, metrics), stuck))

    async with _receiver(alerts) as receiver:
        changes = {"RELAY_ALERT_WEBHOOK_URL": receiver, "RELAY_ALERT_ALLOW_PRIVATE_ADDRESSES": "1"}
        configuration = load(environment(tmp_path, "http://127.0.0.1:9", **changes))
        outside = Outside(open_store=keep)
        async with open_relay(configuration, Lines(), outside) as relay:
            relay.workers["tiktok"].finish_seconds = 0
            async with relay.delivering():
                await asyncio.sleep(6)
                stuck.set()
                began = time.monotonic()
                async with asyncio.timeout(_WITHIN_SECONDS + 5):
                    at, rule = await alerts.get()
                stuck.clear()
    report(13, f"worker stuck: {at - began:.0f} s")
    assert (rule, at - began <= _WITHIN_SECONDS) == ("worker_stuck", True)


class _Stuck:
    """A store that does not say any more when something is due, until it is let go."""

    def __init__(self, store: Store, stuck: asyncio.Event) -> None:
        self._store = store
        self._stuck = stuck

    def __getattr__(self, name: str) -> object:
        """The store's attribute."""
        return getattr(self._store, name)

    async def next_due(self, destination: str) -> datetime | None:
        """Hangs while it is stuck."""
        while self._stuck.is_set():  # noqa: ASYNC110 - nobody announces the end
            await asyncio.sleep(0.1)
        return await self._store.next_due(destination)


async def _seconds_until_known(kind: _Kind, folder: Path, seed: int) -> float:
    """From the failure until its alert was received."""
    await asyncio.to_thread(_prepare, folder)
    async with _scene(kind, folder, seed) as scene:
        posting = asyncio.create_task(_post(scene))
        await asyncio.sleep(kind.before_seconds)
        if kind.before_seconds:
            early = [scene.alerts.get_nowait() for _ in range(scene.alerts.qsize())]
            assert early == [], f"{kind.name}: an alert before anything failed"
        began = time.monotonic()
        await kind.inject(scene)
        try:
            async with asyncio.timeout(_WITHIN_SECONDS + 5):
                while True:
                    at, rule = await scene.alerts.get()
                    if rule in kind.rules:
                        return at - began
        except TimeoutError:
            pytest.fail(f"{kind.name}: no alert; {scene.service.last_words()}")
        finally:
            posting.cancel()
            await asyncio.wait([posting])
            await scene.service.kill()


@asynccontextmanager
async def _scene(kind: _Kind, folder: Path, seed: int) -> AsyncIterator[_Scene]:
    mappings = folder / "mappings.json"
    alerts: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
    sandbox = create_sandbox(clock=time.monotonic, access_tokens=frozenset({_TOKEN}))
    async with running_sandbox(sandbox) as api_url, _receiver(alerts) as receiver:
        changes = {
            "RELAY_ALERT_WEBHOOK_URL": receiver,
            "RELAY_ALERT_ALLOW_PRIVATE_ADDRESSES": "true",
            **{
                name: value.replace("MAPPINGS", str(mappings))
                for name, value in kind.changes.items()
            },
        }
        service = Service(folder, api_url, changes=changes)
        await _remember_half_an_hour(service)
        await service.start()
        batch = _named if "RELAY_MAPPINGS" in kind.changes else _plain
        yield _Scene(service, sandbox, Shop(seed), alerts, batch=batch)


async def _remember_half_an_hour(service: Service) -> None:
    """The source used to send: as if the service had run before, and was started again."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)  # noqa: TID251 - real on purpose
    minutes = [now - timedelta(minutes=ago) for ago in range(1, 31)]
    kept = [FlowCount(one, "events_kept", ("default", "planned"), 240) for one in minutes]
    watched = [FlowCount(one, "minutes_watched", (), 1) for one in minutes]
    configuration = load(environment(service.folder / "data", service.api_url))
    async with open_relay(configuration, Lines()) as relay:
        await relay.store.history.add_flow([*kept, *watched])


def _prepare(folder: Path) -> None:
    (folder / "data").mkdir(parents=True, mode=0o700)
    (folder / "mappings.json").write_bytes(orjson.dumps(_MAPPING))


def _plain(shop: Shop) -> list[JsonObject]:
    return shop.events(2)


def _named(shop: Shop) -> list[JsonObject]:
    return [one | {"properties": {"tiktok_event": "Purchase"}} for one in shop.events(2)]


async def _post(scene: _Scene) -> None:
    """Two events twice a second."""
    segment = Segment(scene.shop, scene.service)
    async with segment.client() as client:
        while True:
            if scene.posting:
                await _post_signed(client, scene)
            await asyncio.sleep(0.5)


async def _post_signed(client: httpx.AsyncClient, scene: _Scene) -> None:
    for event in scene.batch(scene.shop):
        body = orjson.dumps(event)
        headers = {"X-Signature": signature(scene.secret, body)}
        await client.post("/webhook/default", content=body, headers=headers)


@asynccontextmanager
async def _receiver(alerts: asyncio.Queue[tuple[float, str]]) -> AsyncIterator[str]:
    """The address of a webhook that notes which alerts open, and when."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        news = orjson.loads(await reader.readexactly(length))
        if news["type"] == "alert.opened":
            alerts.put_nowait((time.monotonic(), news["data"]["rule"]))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/alerts"
    finally:
        server.close()
        await server.wait_closed()
