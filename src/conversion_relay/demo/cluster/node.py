"""A node of the cluster: `conversion-relay serve` as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import STDOUT, Process, create_subprocess_exec
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from conversion_relay.errors import RelayError

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 20.0
"""Longer than the service takes to stop."""
_LOOK_SECONDS: Final = 0.1


@dataclass(slots=True)
class Node:
    """One of the nodes.

    Attributes:
        name: among the others.
        port: it listens on.
        environment: that configures it.
        log: the file its processes write to.
        process: the one that runs, or ran last.
    """

    name: str
    port: int
    environment: Mapping[str, str]
    log: Path
    process: Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of its process; 0 before the first."""
        return self.process.pid if self.process is not None else 0

    async def start(self) -> None:
        """Comes back once it is ready.

        Raises:
            RelayError: it ended, or takes too long.
        """
        with self.log.open("ab") as log:
            self.process = await create_subprocess_exec(
                *(sys.executable, "-m", "conversion_relay", "serve"),
                env=dict(self.environment), stdout=log, stderr=STDOUT, start_new_session=True,
            )  # fmt: skip
        try:
            async with (
                asyncio.timeout(_START_SECONDS),
                httpx.AsyncClient(trust_env=False) as client,
            ):
                while not await self._is_ready(client):
                    if self.process.returncode is not None:
                        raise RelayError(f"{self.name} ended at once:\n{self._last_words()}")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise RelayError(f"{self.name} is not ready:\n{self._last_words()}") from None

    async def ended(self) -> str:
        """Waits until its process has ended, and says how."""
        status = await self.process.wait() if self.process is not None else 0
        return signal.Signals(-status).name if status < 0 else f"status {status}"

    async def stop(self) -> None:
        """Asks it to stop; kills it when that takes too long, or we have no time."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.process.wait()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"{self.url}/readyz")).is_success
        except httpx.TransportError:
            return False

    def _last_words(self) -> str:
        return self.log.read_text("utf-8", "replace")[-2_000:]


def free_ports(count: int) -> list[int]:
    """So many ports of this machine that nobody listens on, all different."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
