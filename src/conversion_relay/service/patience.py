"""A transport that comes again when it is told to: after 429, once Retry-After has passed.

Knows no path.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import httpx
from typing_extensions import override

_TIMES: Final = 20
_LONGEST_SECONDS: Final = 10.0


class Patient(httpx.AsyncBaseTransport):
    """Sends a request again while it is asked too often.

    Args:
        inner: sends it.
        pause: waits so many seconds.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self._inner = inner
        self._pause = pause

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(_TIMES):
            response = await self._inner.handle_async_request(request)
            if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                return response
            await response.aclose()
            await self._pause(_seconds(response.headers.get("retry-after", "")))
        return await self._inner.handle_async_request(request)

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_SECONDS) if text.isascii() and text.isdigit() else 1.0
