"""Segment's HTTP Tracking API: what Segment's own libraries and those like them post to.

A write key says whose events they are. Write keys stand in web pages, so they are names rather
than secrets: nothing that comes in here may delete or show anything.
Source: segment.com/docs/connections/sources/catalog/libraries/server/http-api (read 2026-11-21).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from conversion_relay.core.completion import Arrival
from conversion_relay.service.http.edge.body import ClientGone, receive_body
from conversion_relay.service.http.edge.inflating import (
    PLAIN,
    WINDOWS,
    DamagedBody,
    inflate,
)
from conversion_relay.service.http.intake import LARGE_BYTES, Answer, Intake, Planned
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.sources import Source
from conversion_relay.service.http.tracking import refusals
from conversion_relay.service.http.tracking.events import (
    Contents,
    TrackingLimits,
    complete_all,
    read_batch,
    read_event,
)
from conversion_relay.service.http.tracking.visitor import Visitors

PREFIX: Final = "/v1/"
PATH: Final = PREFIX + "{call}"
TYPES: Final[Mapping[str, str]] = {
    "track": "track",
    "page": "page",
    "identify": "identify",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "t": "track",
    "p": "page",
    "i": "identify",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
"""The calls with one event, in words and as analytics.js abbreviates them."""
BATCHES: Final = frozenset({"batch", "import", "b"})
FIGURES: Final = "m"
"""What analytics.js tells of its own work; it would try again if that were refused."""
_BASIC: Final = 'Basic realm="conversion-relay"'
_IN_THE_BODY: Final = 'WriteKey realm="conversion-relay"'
"""A browser asks its user for a password when it is challenged for Basic."""
_WAY: Final = "tracking"
_NOBODY: Final = "unknown"
_SUCCESS: Final = b'{"success": true}'
_CHAINS: Final = (b"x-forwarded-for", b"forwarded")


@dataclass(slots=True)
class _Request:
    """One request; its source may be known only when its body is."""

    call: str
    headers: Mapping[bytes, bytes]
    scope: Scope
    source: Source | None = None
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Tracking:
    """The ASGI endpoint of `/v1/{call}`.

    Attributes:
        intake: where completed events go.
        limits: bounds of one request.
        visitors: finds the address an event is completed with, where its source wants that.
        new_id: gives a messageId that nothing else has.
    """

    intake: Intake
    limits: TrackingLimits
    visitors: Visitors
    new_id: Callable[[], str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        headers = _headers(scope["headers"])
        request = _Request(scope["path_params"]["call"], headers, scope)
        began = self.intake.monotonic()
        try:
            with self.intake.tracer.span("receive", headers.get(b"traceparent"), way=_WAY):
                result = await self._take(request, receive)
        except ClientGone:
            self.intake.log.info("tracking.client_gone")
            return
        self._note(request, result)
        await self._response(result)(scope, receive, send)
        self.intake.accounts.answered(_WAY, self.intake.monotonic() - began)

    def _note(self, request: _Request, result: Problem | Answer) -> None:
        name = _NOBODY if request.source is None else request.source.name
        if not isinstance(result, Problem):
            if result:
                self.intake.log.info("tracking.kept", source=name, **result)
            return
        self.intake.log.warning(
            "tracking.refused",
            source=self.intake.accounts.refuse(name, result.slug),
            status=result.status.value,
            problem=result.slug,
            detail=result.detail,
        )

    def _response(self, result: Problem | Answer) -> Response:
        """Segment's libraries look for `code` and `message`; without, some repeat for hours."""
        if not isinstance(result, Problem):
            return Response(_SUCCESS, media_type="application/json")
        members = {"code": result.slug, "message": result.detail}
        return replace(result, members=members).response()

    async def _take(self, request: _Request, receive: Receive) -> Problem | Answer:
        """What was kept of the request, or why nothing was; nothing of figures."""
        if request.call not in TYPES and request.call not in {*BATCHES, FIGURES}:
            return refusals.unknown_call()
        if request.call != FIGURES and (refused := self._refusal_of_header(request)):
            return refused
        body = await self._receive(request, receive)
        if isinstance(body, Problem):
            return body
        if request.call == FIGURES:
            return {}
        request.body = body
        planned = await self.intake.in_turn(len(body), partial(self._read_and_plan, request))
        return planned if isinstance(planned, Problem) else await self.intake.keep(planned)

    def _refusal_of_header(self, request: _Request) -> Problem | None:
        """Why the body is not even received; where a header has the key, the source is known."""
        user = _basic_user(request.headers.get(b"authorization"))
        if user is None:
            return None
        request.source = self.intake.sources.of_write_key(user)
        if request.source is None:
            return refusals.unauthorized("carries a wrong write key", _BASIC)
        return self.intake.over_rate(request.source)

    async def _receive(self, request: _Request, receive: Receive) -> bytes | Problem:
        """The unpacked body."""
        coding = request.headers.get(b"content-encoding", PLAIN).strip().lower()
        in_batch = request.call in BATCHES
        allowed = self.limits.max_body_bytes if in_batch else self.limits.max_event_bytes
        refusal = refusals.batch_too_large if in_batch else refusals.event_too_large
        if coding not in {*WINDOWS, PLAIN, b""}:
            return refusals.unsupported_encoding()
        bounds = replace(self.intake.limits.body, max_body_bytes=allowed)
        body = await receive_body(receive, request.headers.get(b"content-length"), bounds)
        if isinstance(body, Problem):
            return refusal(allowed) if body.slug == "body-too-large" else body
        try:
            unpacked = inflate(body, coding, allowed) if coding in WINDOWS else body
        except DamagedBody:
            return refusals.damaged()
        return refusal(allowed) if unpacked is None else unpacked

    async def _read_and_plan(self, request: _Request) -> Problem | Planned:
        if request.call in BATCHES:
            contents = await read_batch(request.body, self.limits)
        else:
            contents = read_event(request.body)
        if isinstance(contents, Problem):
            return contents
        request.source = source = request.source or self._source_of(contents.write_key)
        if source is None:
            carries = "no" if contents.write_key is None else "a wrong"
            return refusals.unauthorized(f"carries {carries} write key", _IN_THE_BODY)
        plan = partial(self._plan, source, request, contents)
        if len(request.body) > LARGE_BYTES:
            return await plan()  # it is its turn already
        return await self.intake.in_turn(contents.growth_bytes, plan)

    async def _plan(
        self, source: Source, request: _Request, contents: Contents
    ) -> Problem | Planned:
        arrival = Arrival(
            self.intake.clock(),
            contents.shared,
            TYPES.get(request.call),
            self._visitor_ip(source, request),
        )
        found = await complete_all(contents, arrival, self.new_id, self.limits)
        if isinstance(found, Problem):
            return found
        return await self.intake.plan(source, found, sum(len(one.text) for one in found))

    def _source_of(self, write_key: bytes | None) -> Source | None:
        """Looked up by its hash, which is keyed anew in each process: the time tells nothing."""
        return None if write_key is None else self.intake.sources.of_write_key(write_key)

    def _visitor_ip(self, source: Source, request: _Request) -> str | None:
        if not source.takes_visitor_ip:
            return None
        return self.visitors.address(request.scope, request.headers)


def _basic_user(authorization: bytes | None) -> bytes | None:
    """The user name of Basic, whose password does not count; None where there is none to judge.

    A bearer token (Segment's OAuth) proves nothing here: its request has a write key in the body.
    """
    scheme, _, encoded = (authorization or b"").strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        user = base64.b64decode(encoded.strip(), validate=True).partition(b":")[0]
    except binascii.Error:
        return b""  # is nobody's
    return user or None


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Of several with one name the first counts; chains of proxies are put together."""
    lines = tuple(raw)
    found = dict(reversed(lines))
    for name in _CHAINS:
        if name in found:
            found[name] = b",".join(value for key, value in lines if key == name)
    return found
