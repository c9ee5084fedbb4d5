"""The admin paths of lanes: how they are, and having one tried at once.

Knows workers; not what a lane's condition follows from.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path

from conversion_relay.core.lane import Condition
from conversion_relay.service.http.admin.shown import LanesAnswer, LaneShown
from conversion_relay.service.worker import Worker

LANES: Final = "/api/lanes"
_Destination = Annotated[str, Path(description="as it is configured")]


def lanes_router(workers: Mapping[str, Worker]) -> APIRouter:
    """The paths, for these workers by the name of their destination."""
    router = APIRouter()

    @router.get(LANES, summary="How the lane of every destination is")
    async def lanes() -> LanesAnswer:
        return LanesAnswer([_shown(worker) for worker in workers.values()])

    @router.post(f"{LANES}/{{destination}}/resume", summary="Have a lane tried at once")
    async def resume(destination: _Destination) -> LaneShown:
        worker = workers.get(destination)
        if worker is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        await worker.resume()
        return _shown(worker)

    return router


def _shown(worker: Worker) -> LaneShown:
    lane = worker.lane
    return LaneShown(
        destination=worker.name,
        condition=lane.condition,
        since=lane.since,
        reason=lane.reason,
        next_at=None if lane.condition is Condition.FLOWING else lane.next_at,
        requests_per_second=lane.per_second,
        batch=lane.most,
    )
