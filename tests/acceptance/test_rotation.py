"""Secrets, tokens and write keys that are exchanged in their files while requests come in."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson

from conversion_relay.service.reload.candidate import Files
from conversion_relay.service.reload.watching import Watch
from support.changing import opened
from support.events import signature
from support.lines import Lines

ROUNDS = 5
REQUESTS_A_ROUND = 30
TOML = """
[service]
database_url = "sqlite:///{folder}/relay.db"
[sources.web]
signing_secrets = ["file:secret", "file:secret-before"]
bearer_tokens = ["file:bearer", "file:bearer-before"]
write_keys = ["file:key", "file:key-before"]
[destinations.tiktok]
pixel_code = "PIXEL"
access_token = "file:token"
api_url = "http://127.0.0.1:9"
"""


@dataclass(slots=True)
class Platform:
    """Keeps the files: each secret, and the one before it."""

    folder: Path

    def write(self, name: str, content: str) -> None:
        """In the place of the file before, in one step."""
        new = self.folder / "new"
        new.write_text(content)
        new.replace(self.folder / name)

    def exchange(self, number: int) -> Iterator[None]:
        """A new one of each kind, file by file."""
        for kind in ("secret", "bearer", "key"):
            self.write(f"{kind}-before", f"{kind}-{number - 1}")
            yield
            self.write(kind, f"{kind}-{number}")
            yield


@dataclass(slots=True)
class Sender:
    """Posts in each of the ways with the secrets of its round."""

    client: httpx.AsyncClient
    round: int = 0
    statuses: list[int] = field(default_factory=list)
    _number: Iterator[int] = field(default_factory=itertools.count)

    async def press(self) -> None:
        """Posts until cancelled."""
        while True:
            for post in (self.signed, self.bearing, self.keyed):
                self.statuses.append(await post(self.round))
                await asyncio.sleep(0)

    async def signed(self, number: int) -> int:
        """One event, signed."""
        body = orjson.dumps(self._event())
        headers = {"X-Signature": signature(f"secret-{number}", body)}
        return (await self.client.post("/webhook/web", content=body, headers=headers)).status_code

    async def bearing(self, number: int) -> int:
        """A batch with the bearer token."""
        body = orjson.dumps([self._event(), self._event()])
        headers = {"Authorization": f"Bearer bearer-{number}"}
        return (await self.client.post("/webhook/web", content=body, headers=headers)).status_code

    async def keyed(self, number: int) -> int:
        """One event to the Tracking API."""
        event, key = self._event(), f"key-{number}"
        return (await self.client.post("/v1/track", json=event, auth=(key, ""))).status_code

    def _event(self) -> dict[str, str]:
        return {
            "type": "track",
            "event": "Order Completed",
            "messageId": f"m-{next(self._number)}",
            "userId": "buyer",
            "timestamp": "2026-11-20T10:00:00Z",
        }


@asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[tuple[Sender, Watch, Lines]]:
    file, log = folder / "relay.toml", Lines()
    file.write_text(TOML.format(folder=folder))
    async with opened(Files({}, file), log) as relay:
        assert relay.reloader is not None
        watch = Watch(relay.reloader, asyncio.sleep, log)
        transport = httpx.ASGITransport(app=relay.http)
        async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
            yield Sender(client), watch, log


async def _look(watch: Watch) -> None:
    """Twice: what is seen once may be half-written."""
    await watch.look()
    await watch.look()


async def _more(sender: Sender, count: int) -> None:
    enough = len(sender.statuses) + count
    async with asyncio.timeout(30):
        while len(sender.statuses) < enough:  # noqa: ASYNC110 - the senders have no other sign
            await asyncio.sleep(0)


async def test_a_rotation_under_load_refuses_nothing_that_is_good(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("token", "access-token")
    for _ in platform.exchange(0):
        pass
    async with _running(tmp_path) as (sender, watch, log):
        pressing = [asyncio.create_task(sender.press()) for _ in range(3)]
        for number in range(1, ROUNDS + 1):
            for _ in platform.exchange(number):
                await _look(watch)
                await _more(sender, 3)
            sender.round = number
            await _more(sender, REQUESTS_A_ROUND)
        for task in pressing:
            task.cancel()
        await asyncio.wait(pressing)
        assert set(sender.statuses) == {200}
        assert len(sender.statuses) > ROUNDS * REQUESTS_A_ROUND
        for post in (sender.signed, sender.bearing, sender.keyed):
            assert [await post(ROUNDS - 1), await post(ROUNDS - 2)] == [200, 401]
    assert "source.renewed" in log.events
    assert "secret-" not in str(log.lines)


async def test_secrets_are_renewed_though_the_file_is_broken(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("token", "access-token")
    for _ in platform.exchange(0):
        pass
    async with _running(tmp_path) as (sender, watch, log):
        platform.write("relay.toml", "[sources.web")
        platform.write("secret", "secret-1")
        await _look(watch)
        await _look(watch)
        assert [await sender.signed(0), await sender.signed(1)] == [401, 200]
        assert log.events.count("configuration.refused") == 1
        platform.write("relay.toml", TOML.format(folder=tmp_path))
        await _look(watch)
        assert [await sender.signed(0), await sender.signed(1)] == [401, 200]


async def test_a_secret_that_is_gone_keeps_who_could_post_before(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    platform.write("token", "access-token")
    for _ in platform.exchange(0):
        pass
    async with _running(tmp_path) as (sender, watch, log):
        (tmp_path / "secret").unlink()
        platform.write("bearer", "bearer-1")
        await _look(watch)
        await _look(watch)
        assert [await sender.signed(0), await sender.bearing(0), await sender.bearing(1)] == [
            200,
            200,
            401,
        ]
    assert log.events.count("configuration.refused") == 1
