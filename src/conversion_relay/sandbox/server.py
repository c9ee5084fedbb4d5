"""The sandbox on a real socket: for the command line, and beside a test.

Stopping it is an outage: connections that wait for an answer are closed at once.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import threading
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox.wire import CONNECTION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from types import FrameType

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from conversion_relay.sandbox.app import Sandbox

LOOPBACK: Final = "127.0.0.1"
KEEP_ALIVE_SECONDS: Final = 60
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def serve(sandbox: Sandbox, port: int, host: str = LOOPBACK) -> None:
    """Serves until SIGINT or SIGTERM, then comes back. Port 0 picks a free one.

    Raises:
        ConfigurationError: if the address cannot be listened on.
    """
    with _listener(host, port) as listener:
        _SignalledServer(_configuration(sandbox)).run(sockets=[listener])


@asynccontextmanager
async def running(sandbox: Sandbox, port: int = 0) -> AsyncIterator[str]:
    """Serves in the running event loop; gives the base URL, without a slash at its end."""
    with _listener(LOOPBACK, port) as listener:
        base_url = _base_url(listener)
        server = _EmbeddedServer(_configuration(sandbox))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield base_url
        finally:
            server.should_exit = True
            await serving


@contextmanager
def running_in_thread(sandbox: Sandbox, port: int = 0) -> Iterator[str]:
    """Serves in a thread with an event loop of its own; gives the base URL."""
    with _listener(LOOPBACK, port) as listener:
        base_url = _base_url(listener)
        server = _EmbeddedServer(_configuration(sandbox))
        thread = threading.Thread(target=server.run, args=([listener],), name="sandbox")
        thread.start()
        try:
            yield base_url
        finally:
            server.should_exit = True
            thread.join()


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise ConfigurationError(f"the sandbox cannot listen on {host}:{port}: {error}") from error


def _base_url(listener: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def _configuration(sandbox: Sandbox) -> uvicorn.Config:
    return uvicorn.Config(
        sandbox,
        interface="asgi3",
        http=_ResettableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=1,
    )


class _ResettableProtocol(HttpToolsProtocol):
    """uvicorn's own, which also lets a fault close the connection with a TCP reset."""

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION: {"reset": self.reset}}

    def reset(self) -> None:
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def awaits_an_answer(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's own type hides the None
        return cycle is not None and not cycle.response_complete


class _EmbeddedServer(uvicorn.Server):
    """uvicorn's own, which leaves signals alone and does not wait for faults to end."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, _ResettableProtocol) and connection.awaits_an_answer():
                connection.transport.abort()
        await super().shutdown(sockets)


class _SignalledServer(_EmbeddedServer):
    """Stops on the first signal, without raising it again as uvicorn does."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._stop) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True
