"""The webhook: who is it, is it whole, what does it lead to, keep it, and only then 200.

One request at a time through receive → verify → split → plan → append. Knows the store only by its
port, and destinations only as targets of `plan`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from conversion_relay.core.decoding import (
    Decoded,
    Undecodable,
    decode,
    decode_list,
    first_element,
    is_list,
)
from conversion_relay.core.event import MAX_MESSAGE_ID_CHARACTERS, MalformedEvent, SegmentEvent
from conversion_relay.core.plan import Target, plan
from conversion_relay.errors import StoreError
from conversion_relay.service.http import refusals
from conversion_relay.service.http.body import BodyLimits, ClientGone, receive_body
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.signature import Credentials, Presented, Verdict, verify
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Disposition, NewEvent, Receipt, Store

_EVENTS_BETWEEN_PAUSES: Final = 50


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """Bounds of one request."""

    body: BodyLimits
    max_event_bytes: int
    max_batch_events: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """The ASGI endpoint of `/webhook/{source}`.

    Attributes:
        sources: what each configured source accepts.
        targets: the configured destinations.
        store: where events are kept.
        limits: bounds of one request.
        clock: gives the present, aware.
        arrived: called after a commit that left something to deliver.
        metrics: counters.
        log: one line for each decision.
    """

    sources: Mapping[str, Credentials]
    targets: Sequence[Target]
    store: Store
    limits: IngestLimits
    clock: Callable[[], datetime]
    arrived: Callable[[], None]
    metrics: Metrics
    log: Log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        try:
            response = await self._respond(scope, receive)
        except ClientGone:
            self.log.info("webhook.client_gone")
            return
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        source: str = scope["path_params"]["source"]
        result = await self._take(source, Headers(scope=scope), receive)
        if isinstance(result, Problem):
            known = source if source in self.sources else "unknown"
            self.metrics.refused.labels(known, result.slug).inc()
            level = self.log.error if result.slug == "batch-lacks-bearer" else self.log.warning
            level(
                "webhook.refused",
                source=known,
                status=result.status.value,
                problem=result.slug,
                detail=result.detail,
            )
            return result.response()
        return Response(orjson.dumps(result), media_type="application/json")

    async def _take(
        self, source: str, headers: Headers, receive: Receive
    ) -> Problem | dict[str, bool | int]:
        """What was kept of the request, or why nothing was."""
        accepted = self.sources.get(source)
        if accepted is None:
            return refusals.unknown_source()
        if headers.get("content-encoding", "identity").lower() != "identity":
            return refusals.unsupported_encoding()
        body = await receive_body(receive, headers, self.limits.body)
        if isinstance(body, Problem):
            return body
        events = self._verified(accepted, headers, body)
        if isinstance(events, Problem):
            return events
        return await self._keep(source, events)

    def _verified(
        self, accepted: Credentials, headers: Headers, body: bytes
    ) -> list[Decoded] | Problem:
        """The events of the body, if its credentials stand for all of them."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = None
        batch = text is not None and is_list(text)
        first = first_element(text) if text is not None and batch else None
        signed = first.text.encode(errors="surrogatepass") if isinstance(first, Decoded) else None
        presented = Presented(_raw(headers, "x-signature"), _raw(headers, "authorization"))
        verdict = verify(accepted, presented, body, signed)
        if verdict in {Verdict.MISSING, Verdict.WRONG}:
            return refusals.unauthorized(accepted, verdict)
        if text is None:
            return refusals.unreadable("it is not UTF-8")
        events = decode_list(text) if batch else _single(decode(text))
        if isinstance(events, Undecodable):
            return refusals.unreadable(events.reason)
        if verdict is Verdict.FIRST_ONLY and len(events) > 1:
            return refusals.half_signed(accepted)
        return self._within_limits(events, batch=batch)

    def _within_limits(self, events: list[Decoded], *, batch: bool) -> list[Decoded] | Problem:
        limits = self.limits
        if len(events) > limits.max_batch_events:
            return refusals.batch_too_long(len(events), limits.max_batch_events)
        if not batch and _size(events[0]) > limits.max_event_bytes:
            return refusals.event_too_large(limits.max_event_bytes)
        return events

    async def _keep(self, source: str, events: list[Decoded]) -> Problem | dict[str, bool | int]:
        planned: list[NewEvent] = []
        for index, event in enumerate(events):
            if index % _EVENTS_BETWEEN_PAUSES == _EVENTS_BETWEEN_PAUSES - 1:
                await asyncio.sleep(0)  # a batch of thousands must not hold up the others
            planned.append(self._plan(source, event))
        try:
            receipt = await self.store.append(planned)
        except StoreError as error:
            self.log.error("webhook.not_kept", source=source, reason=str(error))
            return refusals.not_kept()
        if any(event.deliveries for event in planned):
            self.arrived()
        return self._account(source, planned, receipt)

    def _plan(self, source: str, event: Decoded) -> NewEvent:
        """The event with everything it leads to; what is no event goes into quarantine."""
        now = self.clock()
        original = event.text.encode(errors="surrogatepass")
        parsed = self._parsed(event, original)
        if isinstance(parsed, MalformedEvent):
            return _quarantined(source, original, now, parsed.reason)
        try:
            return _planned(source, parsed, original, self.targets, now)
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost neither it nor others
            kind = type(error).__name__
            self.log.error("webhook.not_planned", source=source, kind=kind)
            return _quarantined(source, original, now, f"it could not be planned ({kind})")

    def _parsed(self, event: Decoded, original: bytes) -> SegmentEvent | MalformedEvent:
        if len(original) > self.limits.max_event_bytes:
            return MalformedEvent(f"it is larger than {self.limits.max_event_bytes} bytes")
        return SegmentEvent.parse(event.value)

    def _account(
        self, source: str, planned: Sequence[NewEvent], receipt: Receipt
    ) -> dict[str, bool | int]:
        """Counts what was kept, and says it to the client."""
        counts = dict.fromkeys(Disposition, 0)
        fresh = [event for event, new in zip(planned, receipt.fresh, strict=True) if new]
        for event in fresh:
            counts[event.disposition] += 1
            self.metrics.count_notes(event.warnings, event.rejections)
        for disposition, count in counts.items():
            if count:
                self.metrics.received.labels(source, disposition.value).inc(count)
        self.metrics.duplicates.labels(source).inc(receipt.duplicates)
        answer: dict[str, bool | int] = {
            "success": True, "accepted": receipt.accepted, "duplicates": receipt.duplicates
        }  # fmt: skip
        answer |= {disposition.value: count for disposition, count in counts.items()}
        self.log.info("webhook.kept", source=source, **answer)
        return answer


def _planned(
    source: str, event: SegmentEvent, original: bytes, targets: Sequence[Target], now: datetime
) -> NewEvent:
    result = plan(_completed(event, original, now), targets, now)
    disposition = Disposition.PLANNED if result.deliveries else Disposition.REJECTED
    return NewEvent(
        source=source,
        message_id=_ledger_id(event, original),
        type=event.type,
        received_at=now,
        original=original,
        disposition=Disposition.UNMATCHED if result.unmatched else disposition,
        deliveries=result.deliveries,
        warnings=result.warnings,
        rejections=result.rejections,
    )


def _quarantined(source: str, original: bytes, now: datetime, reason: str) -> NewEvent:
    return NewEvent(
        source=source,
        message_id=_content_id(original),
        type="",
        received_at=now,
        original=original,
        disposition=Disposition.QUARANTINED,
        reason=reason,
    )


def _completed(event: SegmentEvent, original: bytes, now: datetime) -> SegmentEvent:
    """The event with the envelope Segment always gives: a messageId, and when it was received.

    The id is made from the content, so that a copy of the same request has the same.
    """
    if event.message_id is not None and "receivedAt" in event.payload:
        return event
    message_id = event.message_id or _content_id(original)
    payload = {"receivedAt": now.isoformat(), **event.payload, "messageId": message_id}
    return SegmentEvent(payload, event.type, message_id)


def _ledger_id(event: SegmentEvent, original: bytes) -> str:
    """By what a duplicate is recognised; an id longer than Segment allows is no good key."""
    known = event.message_id
    if known is None or len(known) > MAX_MESSAGE_ID_CHARACTERS:
        return _content_id(original)
    return known


def _content_id(original: bytes) -> str:
    return f"relay-{hashlib.sha256(original).hexdigest()[:40]}"


def _size(event: Decoded) -> int:
    return len(event.text.encode(errors="surrogatepass"))


def _single(decoded: Decoded | Undecodable) -> list[Decoded] | Undecodable:
    return decoded if isinstance(decoded, Undecodable) else [decoded]


def _raw(headers: Headers, name: str) -> bytes | None:
    value = headers.get(name)
    return None if value is None else value.encode("latin-1")
