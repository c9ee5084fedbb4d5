"""The webhook: who is it, is it whole; then the intake keeps it, and only then 200.

Nothing is received from those who cannot be trusted, and nothing decoded before it is verified.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import orjson
from starlette.types import Receive, Scope, Send

from conversion_relay.core.decoding import (
    Decoded,
    Reread,
    Undecodable,
    Unusable,
    decode,
    first_element,
    is_list,
    read_list,
)
from conversion_relay.service.http import refusals
from conversion_relay.service.http.edge.body import ClientGone, receive_body
from conversion_relay.service.http.erasure import Erasure, named_by
from conversion_relay.service.http.intake import LARGE_BYTES, Answer, Intake, Planned
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.signature import (
    Credentials,
    Presented,
    Verdict,
    has_token,
    judge_headers,
    verify,
)
from conversion_relay.service.http.sources import Source
from conversion_relay.service.http.turns import paced

_REREAD_BYTES: Final = 4 * 1024 * 1024
"""Values of a longer body are not held: they take five times its room; reading anew takes time."""
_REFUSED: Final = (Verdict.MISSING, Verdict.WRONG)
_WAY: Final = "webhook"
_JSON: Final = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Webhook:
    """The ASGI endpoint of `/webhook/{source}`.

    Attributes:
        intake: where what was received and verified goes.
        erasure: obeys the `delete` events among it, before they are answered.
    """

    intake: Intake
    erasure: Erasure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        source: str = scope["path_params"]["source"]
        began, headers = self.intake.monotonic(), _headers(scope["headers"])
        try:
            with self.intake.tracer.span("receive", headers.get(b"traceparent"), way=_WAY):
                result = await self._take(source, headers, receive)
        except ClientGone:
            self.intake.log.info("webhook.client_gone")
            return
        await self._answer(source, result, (scope, receive, send))
        self.intake.accounts.answered(_WAY, self.intake.monotonic() - began)

    async def _answer(
        self, source: str, result: Problem | Answer, connection: tuple[Scope, Receive, Send]
    ) -> None:
        if isinstance(result, Problem):
            self._note_refusal(source, result)
            await result.response()(*connection)
            return
        self.intake.log.info("webhook.kept", source=source, **result)
        content = orjson.dumps(result)
        headers = [_JSON, (b"content-length", b"%d" % len(content))]
        send = connection[-1]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _note_refusal(self, source: str, problem: Problem) -> None:
        known = self.intake.accounts.refuse(source, problem.slug)
        log = self.intake.log
        level = log.error if problem.slug == "batch-lacks-bearer" else log.warning
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
        size_bytes, plan = len(request.body), partial(self._plan, request)
        planned = await self.intake.in_turn(size_bytes, plan)
        if isinstance(planned, Problem):
            return planned
        answer = await self.intake.keep(planned.events)
        if isinstance(answer, Problem):
            return answer
        return await self.erasure.obey(request.source, planned.to_forget) or answer

    async def _receive(
        self, name: str, headers: Mapping[bytes, bytes], receive: Receive
    ) -> Problem | _Request:
        """The verified request. Its body is not even received if the headers forbid it."""
        source = self.intake.sources.get(name)
        if source is None:
            return refusals.unknown_source()
        accepted = source.credentials
        presented = Presented(headers.get(b"x-signature"), headers.get(b"authorization"))
        verdict = judge_headers(accepted, presented)
        if verdict in _REFUSED:
            return refusals.unauthorized(accepted, verdict)
        if refused := self._refusal_of_body(source, headers):
            return refused
        limits = self.intake.limits.body
        body = await receive_body(receive, headers.get(b"content-length"), limits)
        if isinstance(body, Problem):
            return body
        if verdict is None:
            verdict = await self._verify(accepted, presented, body)
        if verdict in _REFUSED:
            return refusals.unauthorized(accepted, verdict)
        return _Request(source, verdict, body)

    def _refusal_of_body(self, source: Source, headers: Mapping[bytes, bytes]) -> Problem | None:
        """Why the body of whoever may be trusted is not received either, or None."""
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return refusals.unsupported_encoding()
        return self.intake.over_rate(source)

    async def _verify(self, accepted: Credentials, presented: Presented, body: bytes) -> Verdict:
        """Only those with a good bearer token may have more than one event's length searched."""
        bearing = has_token(accepted.bearer_tokens, presented.authorization)
        reach = len(body) if bearing else self.intake.limits.max_event_bytes
        find_first = partial(first_element, body, reach)
        if len(body) <= LARGE_BYTES:
            return verify(accepted, presented, body, find_first)
        return await asyncio.to_thread(verify, accepted, presented, body, find_first)

    async def _plan(self, request: _Request) -> Problem | _Planned:
        to_forget: set[str] = set()
        found = await self._split(request.body, to_forget)
        if isinstance(found, Problem):
            return found
        if request.verdict is Verdict.FIRST_ONLY and len(found) > 1:
            return refusals.half_signed(request.source.credentials)
        planned = await self.intake.plan(request.source, found, len(request.body))
        return planned if isinstance(planned, Problem) else _Planned(planned, to_forget)

    async def _split(self, body: bytes, to_forget: set[str]) -> list[Decoded | Unusable] | Problem:
        """The elements of the body, or why it cannot be taken apart.

        Adds whom `delete` events name: here each element has a value, later it is read anew.
        """
        if is_list(body):
            return await self._split_list(body, to_forget)
        body, most = body.strip(b" \t\r\n"), self.intake.limits.max_event_bytes
        if len(body) > most:
            return refusals.event_too_large(most)
        element = _single(body)
        if isinstance(element, Undecodable):
            return refusals.unreadable(element.reason)
        to_forget.update(named_by(element))
        return [element]

    async def _split_list(
        self, body: bytes, to_forget: set[str]
    ) -> list[Decoded | Unusable] | Problem:
        limits, large = self.intake.limits, len(body) > _REREAD_BYTES
        found: list[Decoded | Unusable] = []
        steps: AsyncIterator[Decoded | Unusable | Undecodable] = paced(
            _steps(body, limits.max_event_bytes)
        )
        async for element in steps:
            if isinstance(element, Undecodable):
                return refusals.unreadable(element.reason)
            if len(found) == limits.max_batch_events:
                return refusals.batch_too_long(limits.max_batch_events)
            to_forget.update(named_by(element))
            anew = large and isinstance(element, Decoded)
            found.append(Reread(element.text) if anew else element)
        return found


@dataclass(frozen=True, slots=True)
class _Request:
    """A request whose credentials were verified.

    Attributes:
        source: where it came from.
        verdict: how far the credentials reach.
        body: raw.
    """

    source: Source
    verdict: Verdict
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Planned:
    """What is to be kept, and whom `delete` events of the request name."""

    events: Planned
    to_forget: set[str] = field(repr=False)


def _single(body: bytes) -> Decoded | Undecodable:
    try:
        return decode(body.decode())
    except UnicodeDecodeError:
        return Undecodable("it is not UTF-8")


def _steps(body: bytes, max_event_bytes: int) -> Iterator[Decoded | Unusable | Undecodable | None]:
    """The elements of a list; bytes that are no UTF-8 are the planner's to find in one of them."""
    return read_list(body.decode(errors="surrogateescape"), max_event_bytes)


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Of several with one name the first counts."""
    return dict(reversed(tuple(raw)))
