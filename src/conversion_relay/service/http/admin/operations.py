"""Health, readiness and metrics: the paths that are open to whoever watches over the service.

Shows counts, never anything of an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import JSONResponse, PlainTextResponse, Response

from conversion_relay import __version__
from conversion_relay.service.http.problems import Problem, retry_after
from conversion_relay.service.metrics import Metrics


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
        text = await asyncio.to_thread(metrics.taken())
        return Response(text, media_type="text/plain; version=0.0.4")

    return router
