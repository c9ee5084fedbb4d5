"""`serve` as a process: how it begins, and with what it ends, where its files are bad."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
from typer.testing import CliRunner

from conversion_relay.cli import application
from support.changing import ENVIRONMENT, TOML, changing
from support.ports import free_port

_READY_SECONDS = 30
_ADMIN = {"Authorization": "Bearer admin-token"}


@asynccontextmanager
async def _process(folder: Path, port: int, *options: str) -> AsyncIterator[Process]:
    """The service with the files of this folder; it may not be ready yet."""
    variables = {**ENVIRONMENT, "PATH": os.environ["PATH"], "RELAY_PORT": str(port)}
    process = await create_subprocess_exec(
        sys.executable, "-m", "conversion_relay", "serve", "--config", "relay.toml", *options,
        cwd=folder, env=variables, stdout=DEVNULL, stderr=PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _shown(port: int) -> dict[str, object]:
    """What it says of its configuration, as soon as it says anything."""
    async with asyncio.timeout(_READY_SECONDS), httpx.AsyncClient() as client:
        while True:
            with suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{port}/api/config"
                found: dict[str, object] = (await client.get(url, headers=_ADMIN)).json()
                return found
            await asyncio.sleep(0.05)


async def test_what_ran_last_starts_where_the_files_cannot_be_used(tmp_path: Path) -> None:
    async with changing(tmp_path) as world:
        ran = world.reloader.running.fingerprint
    (tmp_path / "relay.toml").write_text(TOML.replace("[sources.web]", "[sources.web"))
    port = free_port()
    async with _process(tmp_path, port) as process:
        shown = await _shown(port)
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
        assert (shown["version"], shown["fingerprint"]) == (1, ran)
        assert "relay.toml:5: is no TOML" in str(shown["refused"])
        process.terminate()
        _, told = await process.communicate()
        assert (process.returncode, b"configuration.refused" in told) == (0, True)
    async with _process(tmp_path, port, "--strict") as process:
        _, told = await process.communicate()
        assert (process.returncode, told.count(b"conversion-relay: ")) == (2, 1)
        assert b"relay.toml:5: is no TOML" in told


def test_a_reload_that_is_asked_for_during_the_start_ends_nobody(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        CliRunner().invoke(application, ["serve", "--config", str(tmp_path / "none.toml")])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
