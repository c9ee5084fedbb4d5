"""An application on a real socket, in this event loop, as the service's own server has it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override


class _QuietServer(uvicorn.Server):
    """Leaves signals to the tests."""

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(application: ASGIApp) -> AsyncIterator[str]:
    """Gives the address while it is served."""
    configuration = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="off", proxy_headers=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = _QuietServer(configuration)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
