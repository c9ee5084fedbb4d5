"""The admin path that takes events of the past: planned and kept as those of the webhook are.

Whoever has the admin token vouches for them, so there is no signature. Knows no files; the ledger
of the source tells what it had already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from conversion_relay.core.decoding import (
    Decoded,
    Reread,
    Undecodable,
    Unusable,
    is_list,
    read_list,
)
from conversion_relay.service.http import refusals
from conversion_relay.service.http.edge.body import ClientGone, receive_body
from conversion_relay.service.http.intake import Intake, Planned
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.sources import Source
from conversion_relay.service.http.turns import paced

PATH: Final = "/api/backfill"
_Source = Annotated[str, Query(max_length=64, description="a configured source")]


class BackfillAnswer(BaseModel):
    """What became of the events: of the new ones each is counted once more behind duplicates."""

    model_config = ConfigDict(frozen=True)

    accepted: Annotated[int, Field(description="new events")]
    duplicates: Annotated[int, Field(description="their messageId was known to the source")]
    planned: Annotated[int, Field(description="new, with at least one delivery")]
    unmatched: Annotated[int, Field(description="new, and no trigger matched")]
    rejected: Annotated[int, Field(description="new, and nothing could be made for a trigger")]
    quarantined: Annotated[int, Field(description="new, and no event")]
    suppressed: Annotated[int, Field(description="new, and forbidden by what they say themselves")]


class Backfill:
    """Takes events of the past.

    Args:
        intake: where they go, as all others do.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def take(self, source: str, request: Request) -> BackfillAnswer | Problem:
        """Keeps the events of the request, all or none."""
        found = self._intake.sources.get(source)
        if found is None:
            return refusals.unknown_source()
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return refusals.unsupported_encoding()
        announced = request.headers.get("content-length")
        length = None if announced is None else announced.encode("latin-1")
        body = await receive_body(request.receive, length, self._intake.limits.body)
        if isinstance(body, Problem):
            return body
        planned = await self._intake.in_turn(len(body), partial(self._plan, found, body))
        if isinstance(planned, Problem):
            return planned
        answer = await self._intake.keep(planned)
        if isinstance(answer, Problem):
            return answer
        shown = BackfillAnswer.model_validate(answer)
        self._intake.log.info("backfill.kept", source=source, **shown.model_dump())
        return shown

    async def _plan(self, source: Source, body: bytes) -> Problem | Planned:
        found = await self._split(body)
        if isinstance(found, Problem):
            return found
        return await self._intake.plan_past(source, found, len(body))

    async def _split(self, body: bytes) -> list[Decoded | Unusable] | Problem:
        if not is_list(body):
            return refusals.unreadable("it is no list of events")
        limits = self._intake.limits
        found: list[Decoded | Unusable] = []
        text = body.decode(errors="surrogateescape")
        steps: AsyncIterator[Decoded | Unusable | Undecodable] = paced(
            read_list(text, limits.max_event_bytes)
        )
        async for element in steps:
            if isinstance(element, Undecodable):
                return refusals.unreadable(element.reason)
            if len(found) == limits.max_batch_events:
                return refusals.batch_too_long(limits.max_batch_events)
            found.append(Reread(element.text) if isinstance(element, Decoded) else element)
        return found


def backfill_router(backfill: Backfill) -> APIRouter:
    """The path, described for OpenAPI; no model reads the body, whose bytes are kept."""
    router = APIRouter()
    events = {"type": "array", "items": {"type": "object"}, "description": "Segment events"}
    body = {"required": True, "content": {"application/json": {"schema": events}}}

    @router.post(
        PATH,
        summary="Keep and deliver events of the past; those that are known change nothing",
        response_model=BackfillAnswer,
        openapi_extra={"requestBody": body},
    )
    async def take(request: Request, source: _Source = "default") -> Response | BackfillAnswer:
        try:
            answer = await backfill.take(source, request)
        except ClientGone:
            return Response(status_code=499)
        return answer.response() if isinstance(answer, Problem) else answer

    return router
