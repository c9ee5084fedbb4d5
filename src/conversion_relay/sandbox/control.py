"""The sandbox's own endpoints under /__sandbox: look at what was received, switch faults.

TikTok has nothing like them. Nothing shown here holds a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import orjson
from starlette.responses import Response
from starlette.routing import Route

from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox.faults import KINDS, FaultBoard, fault_from_json
from conversion_relay.sandbox.journal import MAX_REQUESTS
from conversion_relay.sandbox.validation import parse

if TYPE_CHECKING:
    from starlette.requests import Request

    from conversion_relay.sandbox.answers import Json
    from conversion_relay.sandbox.journal import Journal
    from conversion_relay.sandbox.ledger import Ledger

PREFIX = "/__sandbox"


@dataclass(frozen=True, slots=True)
class Control:
    """Endpoints over one sandbox's ledger, journal and faults."""

    ledger: Ledger
    journal: Journal
    faults: FaultBoard

    def routes(self) -> list[Route]:
        """Every endpoint, none with a trailing slash."""
        return [
            Route(f"{PREFIX}/conversions", self.conversions, methods=["GET"]),
            Route(f"{PREFIX}/requests", self.requests, methods=["GET"]),
            Route(f"{PREFIX}/faults", self.show_faults, methods=["GET"]),
            Route(f"{PREFIX}/faults", self.switch_faults_on, methods=["POST"]),
            Route(f"{PREFIX}/faults", self.switch_faults_off, methods=["DELETE"]),
            Route(PREFIX, self.forget, methods=["DELETE"]),
        ]

    async def conversions(self, _request: Request) -> Response:
        """Every conversion after the 48-hour rule, in the order of first arrival."""
        entries = [conversion.as_json() for conversion in self.ledger.conversions()]
        return _json({"conversions": cast("Json", entries)})

    async def requests(self, request: Request) -> Response:
        """The last requests, oldest first; `?limit=` keeps the newest so many."""
        limit = request.query_params.get("limit", str(MAX_REQUESTS))
        if not (limit.isdecimal() and 1 <= int(limit) <= MAX_REQUESTS):
            return problem(422, f"limit must be a whole number from 1 to {MAX_REQUESTS}")
        entries = self.journal.latest(int(limit))
        return _json({"requests": cast("Json", entries), "total": self.journal.written})

    async def show_faults(self, _request: Request) -> Response:
        """The faults that are on."""
        return _json({"faults": self.faults.as_json()})

    async def switch_faults_on(self, request: Request) -> Response:
        """Adds one fault or a list of them: all, or none if one cannot be read."""
        described = parse(await request.body())
        several = described if isinstance(described, list) else [described]
        try:
            faults = [fault_from_json(each) for each in several]
        except ConfigurationError as error:
            return problem(422, str(error).partition("\n")[0], known_faults=list(KINDS))
        self.faults.switch_on(faults)
        return await self.show_faults(request)

    async def switch_faults_off(self, _request: Request) -> Response:
        """All of them."""
        self.faults.switch_off()
        return Response(status_code=204)

    async def forget(self, _request: Request) -> Response:
        """As if just started: nothing counted, nothing noted, no faults."""
        self.ledger.forget()
        self.journal.forget()
        self.faults.switch_off()
        return Response(status_code=204)


def problem(http_status: int, detail: str, **more: Json) -> Response:
    """A problem document (RFC 9457)."""
    body = {"type": "about:blank", "status": http_status, "detail": detail, **more}
    return Response(orjson.dumps(body), http_status, media_type="application/problem+json")


def _json(body: Json) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
