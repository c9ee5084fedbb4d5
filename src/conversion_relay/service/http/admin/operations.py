"""Health, readiness, metrics, and the guard in front of the admin paths.

Shows counts, never anything of an event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from conversion_relay import __version__
from conversion_relay.service.http.problems import Problem, retry_after
from conversion_relay.service.http.signature import has_token
from conversion_relay.service.metrics import Metrics

_ADMIN_PREFIX: Final = "/api"


class AdminGuard:
    """Lets only those with the admin token through to `/` and `/api`."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._tokens = () if token is None else (token.encode(),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 403 or 401."""
        if scope["type"] == "http" and _is_admin_path(scope["path"]):
            problem = self._problem(Headers(scope=scope))
            if problem is not None:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _problem(self, headers: Headers) -> Problem | None:
        if not self._tokens:
            return Problem(
                HTTPStatus.FORBIDDEN,
                "no-admin-token",
                "The admin paths are closed because no admin token is configured: set "
                "RELAY_ADMIN_TOKEN, then send it as Authorization: Bearer …",
            )
        authorization = headers.get("authorization")
        if authorization is not None and has_token(self._tokens, authorization.encode("latin-1")):
            return None
        return Problem(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            "This path needs the admin token (RELAY_ADMIN_TOKEN) as Authorization: Bearer …",
            {"WWW-Authenticate": "Bearer"},
        )


def _is_admin_path(path: str) -> bool:
    path = path.removesuffix("\n")  # routes match in front of a line's end, too
    return path in {"/", _ADMIN_PREFIX} or path.startswith(f"{_ADMIN_PREFIX}/")


def operations_router(metrics: Metrics, unready: Callable[[], Awaitable[str | None]]) -> APIRouter:
    """The paths for whoever watches over the service.

    Args:
        metrics: shown at /metrics.
        unready: why the service cannot do its work, or None when it can.
    """
    router = APIRouter()

    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @router.get("/readyz", summary="The store can be read and the workers run")
    async def readyz() -> Response:
        reason = await unready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", reason, retry_after(1)
        ).response()

    @router.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    return router
