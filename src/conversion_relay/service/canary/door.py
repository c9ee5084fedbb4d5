"""Posts the canary to the service's own webhook, over the socket it listens on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Final, TypeAlias

import httpx
import orjson

from conversion_relay.service.canary.event import BEARER, PATH

Post: TypeAlias = Callable[[bytes], Awaitable[str | None]]
"""Posts an event; gives why it was not taken, or None."""
_SECONDS: Final = 10.0
_LONGEST_TITLE: Final = 100


def own_address(host: str, port: int) -> str:
    """Where a socket of this machine is reached from this machine.

    Args:
        host: an address it listens on; one that stands for all leads to loopback.
        port: its port.
    """
    address = ip_address(host.partition("%")[0])
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")  # noqa: PLR2004
    shown = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004
    return f"http://{shown}:{port}"


@asynccontextmanager
async def webhook(address: str, seconds: float = _SECONDS) -> AsyncIterator[Post]:
    """The webhook of the canary at this address of the service."""
    headers = {"Authorization": f"Bearer {BEARER}", "Content-Type": "application/json"}
    anew = httpx.Limits(max_keepalive_connections=0)  # as whoever comes for the first time
    async with httpx.AsyncClient(
        base_url=address, headers=headers, timeout=seconds, trust_env=False, limits=anew
    ) as client:

        async def post(event: bytes) -> str | None:
            try:
                async with asyncio.timeout(seconds):
                    answer = await client.post(PATH, content=event)
            except (TimeoutError, httpx.TimeoutException):
                return f"the webhook did not answer within {seconds:g} s"
            except httpx.HTTPError:
                return "the webhook cannot be reached"
            return None if answer.status_code == httpx.codes.OK else _said(answer)

        yield post


def _said(answer: httpx.Response) -> str:
    """The status, and the title of the problem: a text of the service itself."""
    try:
        title = orjson.loads(answer.content)["title"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"the webhook answered with status {answer.status_code}"
    return f"the webhook answered with status {answer.status_code}: {str(title)[:_LONGEST_TITLE]}"
