"""Leads events straight to their way in, past layers of the framework that do nothing for them.

Knows routes; everything that none of them takes goes on through the framework.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Shortcut:
    """Asks these routes first.

    Args:
        app: the application behind it.
        routes: whose endpoints are ASGI applications and need nothing of the layers behind.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands the request to the first route that takes it, or on."""
        for route in self._routes if scope["type"] == "http" else ():
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                await route.app(scope, receive, send)
                return
        await self._app(scope, receive, send)
