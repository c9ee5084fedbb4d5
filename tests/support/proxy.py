"""A way to a server on loopback that can be taken away: silently, or with a bang."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

_PIECE: Final = 64 * 1024


@dataclass(slots=True)
class Proxy:
    """Passes bytes on in both directions.

    Attributes:
        target: the port on this machine that it leads to.
        port: it listens on.
        connections: how many there were.
        unanswered: whoever sends these bytes next is cut off in the place of the answer.
    """

    target: int
    port: int = 0
    connections: int = 0
    unanswered: bytes | None = None
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def pass_on(self) -> None:
        """As if it were not there."""
        self._open.set()

    def blackhole(self) -> None:
        """Nothing arrives from now on, on old connections and on new ones; nobody is told.

        Not even that the other side has gone. Once the way is open, what was sent arrives late.
        """
        self._open.clear()

    def cut(self) -> None:
        """Breaks every connection off; new ones are passed on or not, as before."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Passes one connection on, once the way is open."""
        self.connections += 1
        self._writers.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            await self._open.wait()
            back, onward = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(onward)
            asked = asyncio.Event()
            await asyncio.gather(
                self._pump(self._forth(reader, asked), onward),
                self._pump(self._back(back, asked), writer),
            )
        except OSError:
            pass
        finally:
            await self._open.wait()
            for one in (writer, onward):
                if one is not None:
                    self._writers.discard(one)
                    one.transport.abort()

    async def _forth(
        self, reader: asyncio.StreamReader, asked: asyncio.Event
    ) -> AsyncIterator[bytes]:
        """What is asked; sets the event with what is not to be answered."""
        while piece := await reader.read(_PIECE):
            if self.unanswered is not None and self.unanswered in piece:
                self.unanswered = None
                asked.set()
            yield piece

    async def _back(
        self, reader: asyncio.StreamReader, asked: asyncio.Event
    ) -> AsyncIterator[bytes]:
        """What is answered, but for that."""
        while piece := await reader.read(_PIECE):
            if asked.is_set():
                raise ConnectionAbortedError
            yield piece

    async def _pump(self, pieces: AsyncIterator[bytes], writer: asyncio.StreamWriter) -> None:
        """Until one side has ended; then the other is told."""
        async for piece in pieces:
            await self._open.wait()
            writer.write(piece)
            await writer.drain()
        await self._open.wait()
        with suppress(OSError):
            writer.write_eof()


@asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """A proxy to that port that passes everything on, gone afterwards."""
    proxy = Proxy(target)
    proxy.pass_on()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield proxy
        finally:
            proxy.pass_on()
            proxy.cut()
