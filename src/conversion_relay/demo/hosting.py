"""An ASGI application on a socket of this machine, in the running event loop, until a signal."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from conversion_relay.errors import RelayError

LOOPBACK: Final = "127.0.0.1"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 2


@asynccontextmanager
async def hosted(
    application: ASGIApp, protocol: type[asyncio.Protocol] | None = None, port: int = 0
) -> AsyncIterator[str]:
    """Serves; gives the base URL without a slash at its end.

    Args:
        application: what is served.
        protocol: how connections are read; uvicorn's own without one.
        port: the preferred one; a free one if that is taken.

    Raises:
        RelayError: it does not start.
    """
    with _listener(port) as listener:
        server = _Server(
            uvicorn.Config(
                application,
                http=protocol or "auto",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await _started(server, serving)
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def _started(server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
    try:
        async with asyncio.timeout(_START_SECONDS):
            while not server.started:
                if serving.done():
                    raise RelayError("the server of the demonstration ended at once")
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise RelayError("the server of the demonstration does not start") from None


def _listener(preferred: int) -> socket.socket:
    """On the preferred port, or any other."""
    try:
        return socket.create_server((LOOPBACK, preferred))
    except OSError:
        return socket.create_server((LOOPBACK, 0))


class _Server(uvicorn.Server):
    """uvicorn's own, which leaves signals to the demonstration."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def end_on_signal() -> None:
    """Has SIGTERM end the present task as Ctrl-C does."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
