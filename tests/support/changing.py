"""The service with files that change while it runs, and a sandbox beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import Conversion, Sandbox, create_sandbox
from conversion_relay.sandbox import running as running_sandbox
from conversion_relay.service.app import newest_version, open_relay
from conversion_relay.service.relay import Relay
from conversion_relay.service.reload.candidate import Files
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.reload.starting import start_of
from conversion_relay.service.reload.watching import Watch
from support.lines import Lines

TOML = """
[service]
database_url = "sqlite:///relay.db"
admin_token = "env:ADMIN"
[sources.web]
bearer_tokens = ["env:BEARER"]
[sources.shop]
write_keys = ["env:KEY"]
destinations = ["eu"]
[destinations.eu]
pixel_code = "PIXEL"
access_token = "file:token"
api_url = "SANDBOX"
mappings = "mappings.json"
[destinations.us]
pixel_code = "PIXEL-US"
access_token = "file:token"
api_url = "SANDBOX"
mappings = "mappings.json"
"""
ENVIRONMENT: Mapping[str, str] = {"ADMIN": "admin-token", "BEARER": "bearer", "KEY": "write-key"}
MAPPINGS = Path(__file__).resolve().parents[2] / "presets" / "tiktok-conversions.json"
_ADMIN = {"Authorization": "Bearer admin-token"}
_BEARER = {"Authorization": "Bearer bearer"}
_SETTLED_WITHIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Changing:
    """The service, its files, and who looks at them."""

    folder: Path
    relay: Relay
    reloader: Reloader
    watch: Watch
    sandbox: Sandbox
    client: httpx.AsyncClient
    log: Lines
    api_url: str

    def write(self, name: str, content: str) -> None:
        """In the place of the file before, in one step; SANDBOX stands for its address."""
        new = self.folder / "new"
        new.write_text(content.replace("SANDBOX", self.api_url))
        new.replace(self.folder / name)

    def toml(self, old: str = "", new: str = "") -> None:
        """The usual file, with something else in a place of it."""
        assert old in TOML
        self.write("relay.toml", TOML.replace(old, new) if old else TOML)

    async def look(self, times: int = 2) -> None:
        """The watch looks so often."""
        for _ in range(times):
            await self.watch.look()

    async def post(self, *events: JsonObject, source: str = "web") -> int:
        """The status of what is answered."""
        path, content = f"/webhook/{source}", orjson.dumps([*events])
        return (await self.client.post(path, content=content, headers=_BEARER)).status_code

    async def admin(self, method: str, path: str, **form: object) -> httpx.Response:
        """What an admin path answers."""
        given = {"json": form} if method == "POST" else {}
        return await self.client.request(method, path, headers=_ADMIN, **given)  # type: ignore[arg-type]

    async def arrived(self, count: int) -> list[Conversion]:
        """The sandbox's ledger once it has so many."""
        async with asyncio.timeout(_SETTLED_WITHIN_SECONDS):
            while len(self.sandbox.ledger.conversions()) < count:  # noqa: ASYNC110 - it is another program
                await asyncio.sleep(0.01)
        return list(self.sandbox.ledger.conversions())


async def _no_sleep(_: float) -> None:
    raise AssertionError


def write_files(folder: Path, api_url: str, toml: str = TOML) -> Files:
    """Those of a configuration that can be used."""
    (folder / "relay.toml").write_text(toml.replace("SANDBOX", api_url))
    (folder / "token").write_text("access-token")
    if not (folder / "mappings.json").exists():
        (folder / "mappings.json").write_bytes(MAPPINGS.read_bytes())
    return Files(ENVIRONMENT, folder / "relay.toml")


@asynccontextmanager
async def changing(folder: Path, toml: str = TOML) -> AsyncIterator[Changing]:
    """Service and sandbox, both running; nobody looks at the files but who is told to."""
    sandbox = create_sandbox(
        clock=time.monotonic, access_tokens=frozenset({"access-token", "other-token"})
    )
    log = Lines()
    async with running_sandbox(sandbox) as api_url:
        files = write_files(folder, api_url, toml)
        async with opened(files, log) as relay:
            reloader = relay.reloader
            assert reloader is not None
            transport = httpx.ASGITransport(app=relay.http)
            async with httpx.AsyncClient(transport=transport, base_url="http://relay") as client:
                watch = Watch(reloader, _no_sleep, log)
                yield Changing(folder, relay, reloader, watch, sandbox, client, log, api_url)


@asynccontextmanager
async def opened(files: Files, log: Lines) -> AsyncIterator[Relay]:
    """The service that begins with these files, as a process does."""
    start = await start_of(files, newest_version, strict=False)
    async with open_relay(start.candidate.configuration, log, start=start) as relay:
        assert relay.reloader is not None
        await relay.reloader.begin(start)
        async with relay.delivering():
            yield relay
