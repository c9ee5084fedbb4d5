"""Alerts of an invented outage, and a place for what is posted about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from conversion_relay.service.alerting.alert import (
    Alert,
    Finding,
    News,
    Notification,
    Severity,
)
from conversion_relay.service.alerting.guard import Guard
from support.serving import serving
from support.time import START


def finding(**changes: object) -> Finding:
    """A lane that is held."""
    usual: dict[str, object] = {
        "rule": "lane_held",
        "subject": "eu",
        "severity": Severity.CRITICAL,
        "summary": "TikTok refuses the access token (code 40105).",
        "advice": "Give the destination a new access token.",
        "destination": "eu",
        "facts": {"code": 40105},
    }
    return Finding(**{**usual, **changes})  # type: ignore[arg-type]


def notification(
    news: News = News.OPENED,
    after: timedelta = timedelta(),
    opened_at: datetime = START,
    **changes: object,
) -> Notification:
    """News of it, so long after it opened."""
    at = opened_at + after
    resolved = at if news is News.RESOLVED else None
    alert = Alert(finding(**changes), opened_at, at, resolved, 7)
    return Notification(news, alert, at, 1240, {"EUR": 1_240_500_000, "USD": 20_000_000})


async def on_loopback(host: str, port: int) -> Sequence[str]:
    """Every name leads to this machine."""
    assert host
    assert port
    return ["127.0.0.1"]


HERE = Guard(allow_private=True, resolve=on_loopback)


@dataclass
class Receiver:
    """A webhook that keeps what it gets.

    Attributes:
        status: of its answers.
        headers: of its answers.
        body: of its answers.
        hangs: it never answers.
        got: headers and body of each request.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    hangs: bool = False
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keeps the request and answers."""
        request = Request(scope, receive)
        self.got.append((dict(request.headers), await request.body()))
        if self.hangs:
            await asyncio.Event().wait()
        await Response(self.body, self.status, self.headers)(scope, receive, send)


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[str]:
    """Gives the address while it listens."""
    async with serving(receiver) as address:
        yield address
