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
from conversion_relay.service.readiness import Readiness


def operations_router(
    metrics: Metrics, readiness: Callable[[], Awaitable[Readiness]]
) -> APIRouter:
    """The paths for whoever watches over the service.

    Args:
        metrics: shown at /metrics.
        readiness: whether the service can do its work.
    """
    router = APIRouter()

    @router.get("/healthz", summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "version": __version__}

    @router.get("/readyz", summary="The store can be read and the workers run")
    async def readyz() -> Response:
        found = await readiness()
        if found.reason is None:
            note = {} if found.note is None else {"note": found.note}
            return JSONResponse({"status": "ready", **note})
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", found.reason, retry_after(1)
        ).response()

    @router.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        text = await asyncio.to_thread(metrics.taken())
        return Response(text, media_type="text/plain; version=0.0.4")

    return router
