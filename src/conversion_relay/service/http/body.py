"""Receives a request's body within bounds: an absolute deadline and a cap on its size.

uvicorn has neither. Knows nothing of what the body means.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from starlette.types import Receive

from conversion_relay.service.http.problems import Problem


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be, and how long it may take to arrive."""

    max_body_bytes: int
    receive_seconds: float


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


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
        return _too_large(limits)
    try:
        async with asyncio.timeout(limits.receive_seconds):
            return await _read(receive, limits)
    except TimeoutError:
        return Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            "too-slow",
            f"The body did not arrive within {limits.receive_seconds:g} s.",
            {"Connection": "close"},
        )


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
            return _too_large(limits)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limits: BodyLimits) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body-too-large",
        f"The body is larger than {limits.max_body_bytes} bytes. Lower the batch size in Segment, "
        "or raise RELAY_MAX_BODY_BYTES.",
        {"Connection": "close"},
    )
