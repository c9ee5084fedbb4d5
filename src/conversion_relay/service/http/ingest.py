"""The webhook: who is it, is it whole, what does it lead to, keep it, and only then 200.

Nothing is received from those who cannot be trusted, and nothing decoded before it is verified.
Knows the store only by its port, and destinations only as targets of `plan`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

import orjson
from starlette.types import Receive, Scope, Send

from conversion_relay.core.decoding import (
    Decoded,
    Undecodable,
    Unusable,
    decode,
    elements,
    first_element,
    is_list,
)
from conversion_relay.core.plan import Target
from conversion_relay.errors import StoreBusy, StoreError
from conversion_relay.service.http import refusals
from conversion_relay.service.http.accounts import Accounts
from conversion_relay.service.http.body import BodyLimits, ClientGone, receive_body
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.signature import (
    Credentials,
    Presented,
    Verdict,
    has_token,
    judge_headers,
    verify,
)
from conversion_relay.service.http.turns import Pace, Turns
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import NewEvent, Store

_LARGE_BYTES: Final = 64 * 1024
_MAX_WAITING_BYTES: Final = 16 * 1024 * 1024
_REFUSED: Final = (Verdict.MISSING, Verdict.WRONG)
_JSON: Final = (b"content-type", b"application/json")
Answer: TypeAlias = dict[str, bool | int]


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """Bounds of one request."""

    body: BodyLimits
    max_event_bytes: int
    max_batch_events: int


@dataclass(slots=True)
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
    _planner: Planner = field(init=False)
    _accounts: Accounts = field(init=False)
    _turns: Turns = field(init=False)

    def __post_init__(self) -> None:
        """Prepares what every request needs."""
        limit = self.limits.max_event_bytes
        self._planner = Planner(self.targets, limit, self.clock, self.log)
        self._accounts = Accounts(self.sources, self.metrics)
        self._turns = Turns(_MAX_WAITING_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        source: str = scope["path_params"]["source"]
        try:
            result = await self._take(source, _headers(scope["headers"]), receive)
        except ClientGone:
            self.log.info("webhook.client_gone")
            return
        if isinstance(result, Problem):
            self._note_refusal(source, result)
            await result.response()(scope, receive, send)
            return
        self.log.info("webhook.kept", source=source, **result)
        content = orjson.dumps(result)
        headers = [_JSON, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _note_refusal(self, source: str, problem: Problem) -> None:
        known = self._accounts.refuse(source, problem.slug)
        level = self.log.error if problem.slug == "batch-lacks-bearer" else self.log.warning
        level(
            "webhook.refused",
            source=known,
            status=problem.status.value,
            problem=problem.slug,
            detail=problem.detail,
        )

    async def _take(
        self, source: str, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Problem | Answer:
        """What was kept of the request, or why nothing was."""
        request = await self._receive(source, headers, receive)
        if isinstance(request, Problem):
            return request
        planned = await self._in_turn(request)
        if isinstance(planned, Problem):
            return planned
        return await self._keep(source, planned)

    async def _receive(
        self, source: str, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Problem | _Request:
        """The verified request. Its body is not even received if the headers forbid it."""
        accepted = self.sources.get(source)
        if accepted is None:
            return refusals.unknown_source()
        presented = Presented(headers.get(b"x-signature"), headers.get(b"authorization"))
        verdict = judge_headers(accepted, presented)
        if verdict in _REFUSED:
            return refusals.unauthorized(accepted, verdict)
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return refusals.unsupported_encoding()
        body = await receive_body(receive, headers.get(b"content-length"), self.limits.body)
        if isinstance(body, Problem):
            return body
        if verdict is None:
            verdict = await self._verify(accepted, presented, body)
        if verdict in _REFUSED:
            return refusals.unauthorized(accepted, verdict)
        return _Request(source, accepted, verdict, body)

    async def _verify(self, accepted: Credentials, presented: Presented, body: bytes) -> Verdict:
        """Only those with a good bearer token may have more than one event's length searched."""
        bearing = has_token(accepted.bearer_tokens, presented.authorization)
        reach = len(body) if bearing else self.limits.max_event_bytes
        find_first = partial(first_element, body, reach)
        if len(body) <= _LARGE_BYTES:
            return verify(accepted, presented, body, find_first)
        return await asyncio.to_thread(verify, accepted, presented, body, find_first)

    async def _in_turn(self, request: _Request) -> list[NewEvent] | Problem:
        """The planned events, or a refusal; large requests wait for each other."""
        size = len(request.body)
        if size <= _LARGE_BYTES:
            return await self._plan(request)
        if not self._turns.has_room(size):
            return refusals.busy()
        async with self._turns.turn(size):
            return await self._plan(request)

    async def _plan(self, request: _Request) -> list[NewEvent] | Problem:
        pace = Pace()
        found = await self._split(request.body, pace)
        if isinstance(found, Problem):
            return found
        if request.verdict is Verdict.FIRST_ONLY and len(found) > 1:
            return refusals.half_signed(request.accepted)
        if not self.store.has_room(len(found), len(request.body)):
            return refusals.busy()
        planned: list[NewEvent] = []
        for element in found:
            planned.append(self._planner.plan(request.source, element))
            await pace.breathe()
        return planned

    async def _split(self, body: bytes, pace: Pace) -> list[Decoded | Unusable] | Problem:
        """The elements of the body, or why it cannot be taken apart."""
        limits = self.limits
        batch = is_list(body)
        if not batch and len(body.strip()) > limits.max_event_bytes:
            return refusals.event_too_large(limits.max_event_bytes)
        found: list[Decoded | Unusable] = []
        for element in _elements(body, limits.max_event_bytes) if batch else (_single(body),):
            if isinstance(element, Undecodable):
                return refusals.unreadable(element.reason)
            if len(found) == limits.max_batch_events:
                return refusals.batch_too_long(limits.max_batch_events)
            found.append(element)
            await pace.breathe()
        return found

    async def _keep(self, source: str, planned: Sequence[NewEvent]) -> Problem | Answer:
        try:
            receipt = await self.store.append(planned)
        except StoreBusy:
            return refusals.busy()
        except StoreError as error:
            self.log.error("webhook.not_kept", source=source, reason=str(error))
            return refusals.not_kept()
        if any(event.deliveries for event in planned):
            self.arrived()
        return self._accounts.keep(source, planned, receipt)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request whose credentials were verified.

    Attributes:
        source: where it came from.
        accepted: what that source accepts.
        verdict: how far the credentials reach.
        body: raw.
    """

    source: str
    accepted: Credentials
    verdict: Verdict
    body: bytes = field(repr=False)


def _single(body: bytes) -> Decoded | Undecodable:
    try:
        return decode(body.decode())
    except UnicodeDecodeError:
        return Undecodable("it is not UTF-8")


def _elements(body: bytes, max_event_bytes: int) -> Iterator[Decoded | Unusable | Undecodable]:
    """The elements of a list; bytes that are no UTF-8 are the planner's to find in one of them."""
    return elements(body.decode(errors="surrogateescape"), max_event_bytes)


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Of several with one name the first counts."""
    return dict(reversed(tuple(raw)))
