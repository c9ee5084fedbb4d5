"""Receives a request's body within bounds: an absolute deadline and a cap on its size.

uvicorn has neither. Knows nothing of what the body means.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import Receive

from conversion_relay.service.http import refusals
from conversion_relay.service.http.problems import Problem


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be, and how long it may take to arrive."""

    max_body_bytes: int
    receive_seconds: float


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class NoRoom(Exception):
    """The bodies held already leave no room for the rest of this one, or it was too slow."""


async def receive_body(
    receive: Receive, announced: bytes | None, limits: BodyLimits
) -> bytes | Problem:
    """The whole body, or why it is refused.

    Args:
        receive: gives the body in pieces.
        announced: the header Content-Length as it came; what is no number there counts as none.
        limits: of size and time.

    Raises:
        ClientGone: the client went away.
    """
    if announced is not None and _is_more(announced, limits.max_body_bytes):
        return refusals.body_too_large(limits.max_body_bytes)
    try:
        async with asyncio.timeout(limits.receive_seconds):
            return await _read(receive, limits)
    except NoRoom:
        return refusals.crowded()
    except TimeoutError:
        return refusals.too_slow(limits.receive_seconds)


def _is_more(digits: bytes, limit: int) -> bool:
    """Compared by length first: Python refuses to read a number of thousands of digits."""
    if not digits.isdigit():
        return False
    significant = digits.lstrip(b"0")
    return len(significant) > len(str(limit)) or int(significant or b"0") > limit


async def _read(receive: Receive, limits: BodyLimits) -> bytes | Problem:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limits.max_body_bytes:
            return refusals.body_too_large(limits.max_body_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
