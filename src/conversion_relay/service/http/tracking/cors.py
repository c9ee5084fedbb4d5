"""Lets the pages of other sites post from a browser (CORS), without cookies.

Source: fetch.spec.whatwg.org (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ANY: Final = "*"
_ALLOWED: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Encoding, Content-Type, X-Retry-Count, *"
    ),
    "Access-Control-Max-Age": "86400",
}
"""The asterisk covers whatever a later library sends, except Authorization."""


@dataclass(frozen=True, slots=True)
class Cors:
    """Which sites may.

    Attributes:
        origins: such as "https://shop.example"; "*" stands for all.
    """

    origins: frozenset[str]

    @staticmethod
    def of(origins: Iterable[str]) -> Cors:
        """For these sites."""
        return Cors(frozenset(origins))

    def headers(self, origin: bytes | None) -> Mapping[str, str]:
        """What every answer carries, refusals too: a page could not read them otherwise.

        Args:
            origin: the header of the request.
        """
        readable = {"Access-Control-Expose-Headers": "Retry-After"}
        if ANY in self.origins:
            return {"Access-Control-Allow-Origin": ANY, **readable}
        varying = {"Vary": "Origin"}
        named = (origin or b"").decode("latin-1")
        if named not in self.origins:
            return varying
        return {"Access-Control-Allow-Origin": named, **readable, **varying}

    def preflight(self, origin: bytes | None) -> Mapping[str, str]:
        """What the answer to a preflight request carries."""
        common = self.headers(origin)
        return {**common, **_ALLOWED} if "Access-Control-Allow-Origin" in common else common


class CrossOrigin:
    """Answers preflight requests, and lets pages read every other answer, whoever gives it.

    Args:
        app: the application behind it.
        cors: which sites may.
        prefix: of the paths that are open to pages.
    """

    def __init__(self, app: ASGIApp, cors: Cors, prefix: str) -> None:
        self._app = app
        self._cors = cors
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on but preflight requests."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if scope["method"] == "OPTIONS":
            response = Response(status_code=204, headers=dict(self._cors.preflight(origin)))
            await response(scope, receive, send)
            return
        readable = self._cors.headers(origin)

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(readable)
            await send(message)

        await self._app(scope, receive, send_readable)
