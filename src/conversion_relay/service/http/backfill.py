"""The admin path that takes events of the past: planned and kept as those of the webhook are.

Whoever has the admin token vouches for them, so there is no signature. Knows no files; the ledger
of the source tells what it had already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from conversion_relay.core.decoding import Undecodable, elements, is_list
from conversion_relay.errors import StoreBusy, StoreError
from conversion_relay.service.http import refusals
from conversion_relay.service.http.accounts import Accounts
from conversion_relay.service.http.body import ClientGone, receive_body
from conversion_relay.service.http.ingest import Webhook
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.turns import Pace
from conversion_relay.service.store.port import NewEvent

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


class Backfill:
    """Takes events of the past.

    Args:
        webhook: whose sources, destinations, limits, store and counters these are too.
    """

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._limits = webhook.limits
        self._accounts = Accounts(webhook.sources, webhook.metrics)
        self._planner = Planner(
            webhook.targets, webhook.limits.max_event_bytes, webhook.clock, webhook.log
        )

    async def take(self, source: str, request: Request) -> BackfillAnswer | Problem:
        """Keeps the events of the request, all or none."""
        if source not in self._webhook.sources:
            return refusals.unknown_source()
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return refusals.unsupported_encoding()
        announced = request.headers.get("content-length")
        length = None if announced is None else announced.encode("latin-1")
        body = await receive_body(request.receive, length, self._limits.body)
        if isinstance(body, Problem):
            return body
        planned = await self._plan(source, body)
        return planned if isinstance(planned, Problem) else await self._keep(source, planned)

    async def _plan(self, source: str, body: bytes) -> list[NewEvent] | Problem:
        if not is_list(body):
            return refusals.unreadable("it is no list of events")
        pace = Pace()
        planned: list[NewEvent] = []
        text = body.decode(errors="surrogateescape")
        for element in elements(text, self._limits.max_event_bytes):
            if isinstance(element, Undecodable):
                return refusals.unreadable(element.reason)
            if len(planned) == self._limits.max_batch_events:
                return refusals.batch_too_long(self._limits.max_batch_events)
            planned.append(self._planner.plan(source, element))
            await pace.breathe()
        return planned

    async def _keep(self, source: str, planned: Sequence[NewEvent]) -> BackfillAnswer | Problem:
        try:
            receipt = await self._webhook.store.append(planned)
        except StoreBusy:
            return refusals.busy()
        except StoreError as error:
            self._webhook.log.error("backfill.not_kept", source=source, reason=str(error))
            return refusals.not_kept()
        if any(event.deliveries for event in planned):
            self._webhook.arrived()
        counts = self._accounts.keep(source, planned, receipt)
        answer = BackfillAnswer.model_validate(counts)
        self._webhook.log.info("backfill.kept", source=source, **answer.model_dump())
        return answer


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
