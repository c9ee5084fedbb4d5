"""Answers that no honest server gives: silence, a reset, an answer in crumbs.

Knows nothing of TikTok, events or faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from starlette.responses import Response
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

# The sandbox's own server puts {"reset": callable} here, which closes the connection at once.
CONNECTION: Final = "conversion_relay.sandbox.connection"


async def left(receive: Receive) -> None:
    """Comes back when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def stays(seconds: float, receive: Receive, sleep: Sleep) -> bool:
    """Waits; False as soon as the client leaves before the time is up."""
    waiting = asyncio.ensure_future(sleep(seconds))
    leaving = asyncio.ensure_future(left(receive))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return waiting.done()
    finally:
        waiting.cancel()
        leaving.cancel()


class Silence(Response):
    """Never says anything; ends when the client leaves."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits for the client to give up."""
        del scope, send
        await left(receive)


class Reset(Response):
    """Closes the connection without a word; without the sandbox's own server, raises."""

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Closes it.

        Raises:
            ConnectionResetError: if there is no connection to close, as in an in-process call.
        """
        del send
        connection = scope.get("extensions", {}).get(CONNECTION)
        if connection is None:
            raise ConnectionResetError("the sandbox closes the connection")
        connection["reset"]()
        await left(receive)


class Crumbs(Response):
    """Sends a body piece by piece, waiting `pause` seconds after each."""

    def __init__(
        self, pieces: Iterable[bytes], headers: Mapping[str, str], pause: float, sleep: Sleep
    ) -> None:
        super().__init__(headers=headers)
        del self.headers["Content-Length"]
        self._pieces = pieces
        self._pause = pause
        self._sleep = sleep

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends everything, or as much as the client waits for."""
        del scope
        headers = self.raw_headers
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if not await stays(self._pause, receive, self._sleep):
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Late(Response):
    """Sends another answer after so many seconds, unless the client leaves first."""

    def __init__(self, answer: Response, seconds: float, sleep: Sleep) -> None:
        super().__init__()
        self._answer = answer
        self._seconds = seconds
        self._sleep = sleep

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Waits, then answers."""
        if await stays(self._seconds, receive, self._sleep):
            await self._answer(scope, receive, send)
