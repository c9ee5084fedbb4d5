"""The sandbox as an ASGI application: TikTok's one endpoint, and the control endpoints beside it.

Shares no code with the destination it judges, and knows no clock of its own.
"""

from __future__ import annotations

import asyncio
import random
from itertools import count
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from conversion_relay.sandbox.answers import ACCEPTED, Answer, Code, request_id
from conversion_relay.sandbox.control import PREFIX, Control, problem
from conversion_relay.sandbox.faults import FaultBoard
from conversion_relay.sandbox.journal import Arrival, Ending, Journal
from conversion_relay.sandbox.ledger import Ledger
from conversion_relay.sandbox.misbehaviour import MISBEHAVIOURS, Exchange, Reply, say
from conversion_relay.sandbox.validation import (
    NOT_JSON_TYPE,
    Batch,
    is_json_type,
    parse,
    validate,
)
from conversion_relay.sandbox.wire import Silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from conversion_relay.sandbox.faults import Fault
    from conversion_relay.sandbox.journal import TokenVerdict
    from conversion_relay.sandbox.wire import Sleep

TRACK_PATH: Final = "/open_api/v1.3/event/track/"

# Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
TOKEN_ANSWERS: Final[dict[TokenVerdict, Answer]] = {
    "missing": Answer(Code.TOKEN_MISSING, "Access token is missing."),
    "wrong": Answer(Code.TOKEN_WRONG, "Access token is incorrect or has been revoked."),
}
HTTP_ANSWERS: Final = {
    404: Answer(Code.PATH_NOT_FOUND, "Path not found. Is the trailing slash there?"),
    405: Answer(Code.METHOD_NOT_ALLOWED, "Method not allowed.", http_status=405),
}


def create_sandbox(
    *,
    clock: Callable[[], float],
    access_tokens: frozenset[str] | None = None,
    faults: Iterable[Fault] = (),
    randomness: random.Random | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Sandbox:
    """A stand-in for TikTok's Events API.

    Args:
        clock: the time in Unix seconds; the 48-hour rule goes by it.
        access_tokens: the right tokens; None takes any.
        faults: switched on from the start.
        randomness: decides for faults with a probability; seeded with 0 unless given.
        sleep: how faults wait.
    """
    chance = randomness or random.Random(0)  # noqa: S311  # chance of faults, not a secret
    return Sandbox(clock, access_tokens, FaultBoard(chance, faults), sleep)


class Sandbox:
    """An ASGI application; its ledger, journal and faults can be read and changed directly.

    Attributes:
        ledger: what TikTok would count.
        journal: the latest requests.
        faults: what goes wrong at present.
        access_tokens: the right ones; None takes any.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        access_tokens: frozenset[str] | None,
        faults: FaultBoard,
        sleep: Sleep,
    ) -> None:
        self.ledger = Ledger()
        self.journal = Journal()
        self.faults = faults
        self._clock = clock
        self.access_tokens = access_tokens
        self._sleep = sleep
        self._numbers = count(1)
        track = Route(TRACK_PATH, self._track, methods=["POST"])
        control = Control(self.ledger, self.journal, self.faults)
        self._application = Starlette(
            routes=[track, *control.routes()],
            exception_handlers={HTTPException: self._unroutable},
        )
        self._application.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        await self._application(scope, receive, send)

    async def _track(self, request: Request) -> Response:
        try:
            raw = await request.body()
        except ClientDisconnect:
            return Silence()
        arrival = self._arrival(request, raw)
        exchange = Exchange(
            arrival=arrival,
            judge=lambda: self._judge(arrival),
            request_id=request_id(arrival.received_at, next(self._numbers)),
            receive=request.receive,
            sleep=self._sleep,
        )
        fault = self.faults.draw(arrival)
        reply = await _reply(exchange, fault)
        name = fault.name if fault else None
        self.journal.write(arrival, Ending(reply.http_status, reply.answer, name))
        return reply.response

    def _arrival(self, request: Request, raw: bytes) -> Arrival:
        return Arrival(
            received_at=self._clock(),
            token=self._token_verdict(request.headers.get("Access-Token", "")),
            content_type=request.headers.get("Content-Type", ""),
            raw=raw,
            body=parse(raw),
        )

    def _token_verdict(self, token: str) -> TokenVerdict:
        if not token:
            return "missing"
        return "right" if self.access_tokens is None or token in self.access_tokens else "wrong"

    def _judge(self, arrival: Arrival) -> Answer:
        """TikTok's true answer; counts the events if there is nothing wrong with them."""
        if arrival.token in TOKEN_ANSWERS:
            return TOKEN_ANSWERS[arrival.token]
        if not is_json_type(arrival.content_type):
            return NOT_JSON_TYPE
        batch = validate(arrival.body)
        if not isinstance(batch, Batch):
            return batch
        self.ledger.record(batch, self._clock())
        return ACCEPTED

    async def _unroutable(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        if request.url.path.startswith(PREFIX):
            return problem(status, f"{request.method} {request.url.path}: no such endpoint")
        answer = HTTP_ANSWERS.get(status, HTTP_ANSWERS[404])
        body = answer.encode(request_id(self._clock(), next(self._numbers)))
        return Response(body, answer.http_status, media_type="application/json")


async def _reply(exchange: Exchange, fault: Fault | None) -> Reply:
    if fault is None:
        return say(exchange, exchange.judge())
    return await MISBEHAVIOURS[fault.name](exchange, fault)
