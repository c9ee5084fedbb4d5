"""Gives every request an id: in the header of its answer, and in every line that it causes.

An id that a proxy in front gave it stays, if it looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conversion_relay.service import attribution

HEADER: Final = b"x-request-id"
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Identification:
    """In front of everything else that answers.

    Args:
        app: the application behind it.
        new_id: gives an id that nothing else has; those of requests begin with one.
    """

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app = app
        self._own = new_id()  # once: asking for it costs more than all else here
        self._numbers = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _presented(scope["headers"]) or f"{self._own}-{next(self._numbers)}"
        header = (HEADER, request_id.encode())

        async def send_identified(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        token = attribution.begin(request_id)
        try:
            await self._app(scope, receive, send_identified)
        finally:
            attribution.end(token)


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The first id that the request brings, unless it could hold anything but an id."""
    for name, value in headers:
        if name == HEADER:
            return value.decode() if _SANE.fullmatch(value) else None
    return None
