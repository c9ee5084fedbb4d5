"""Sends one request and tells what came back: an answer, or a failure that is certain or not.

Knows HTTP and its faults; not what a request is about nor what an answer means. Bytes that may
have reached the partner make a failure *unknown*: only a connection that was never made is
certain.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Final, Self

import httpx
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from conversion_relay.core.delivery import TransportFailure, WireResponse
from conversion_relay.core.destination import OutgoingRequest

_NEVER_CONNECTED: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
)
_MOST_DIGITS: Final = 9
_REFUSED_BEFORE_SENDING: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@dataclass(frozen=True, slots=True)
class SenderLimits:
    """Bounds of sending.

    Attributes:
        total_seconds: from the first byte of the connection to the last of the answer.
        connect_seconds: for a connection.
        read_seconds: between two pieces of the answer.
        max_response_bytes: what is read of an answer; the rest is left.
        max_connections: requests at the same time; others wait outside the pool, because a
            request cancelled inside it keeps its slot for good (httpcore issue 1093).
        connect_attempts: within one send, for faults that last less than a second.
    """

    total_seconds: float = 20.0
    connect_seconds: float = 5.0
    read_seconds: float = 15.0
    max_response_bytes: int = 64 * 1024
    max_connections: int = 16
    connect_attempts: int = 3


class Sender:
    """An HTTP client for one base URL. Use as an async context manager.

    Args:
        base_url: of the partner's API.
        limits: of every request.
        clock: gives the present, aware; Retry-After may hold a date.
        proxy_url: where requests go instead; the environment's proxies are never used.
        sleep: waits so many seconds between two attempts to connect.
    """

    def __init__(
        self,
        base_url: str,
        limits: SenderLimits,
        clock: Callable[[], datetime],
        proxy_url: str | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._slots = asyncio.Semaphore(limits.max_connections)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            timeout=httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds),
            limits=httpx.Limits(
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_connections,
            ),
            follow_redirects=False,
            trust_env=False,
            proxy=proxy_url,
            verify=_tls(),
            headers={"Accept-Encoding": "identity", "User-Agent": "conversion-relay"},
        )
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(httpx.ConnectError),
            stop=stop_after_attempt(limits.connect_attempts),
            wait=wait_random_exponential(multiplier=0.05, max=0.3),
            sleep=sleep,
            reraise=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def send(self, request: OutgoingRequest) -> WireResponse | TransportFailure:
        """What came back; never raises for anything the network or the partner does."""
        async with self._slots:
            try:
                async with asyncio.timeout(self._limits.total_seconds):
                    return await self._retrying(self._exchange, request)
            except _NEVER_CONNECTED as error:
                return TransportFailure(certain=True, reason=_reason(error))
            except _REFUSED_BEFORE_SENDING as error:
                return TransportFailure(certain=True, reason=_reason(error))
            except httpx.HTTPError as error:
                return TransportFailure(certain=False, reason=_reason(error))
            except TimeoutError:
                seconds = f"{self._limits.total_seconds:g}"
                return TransportFailure(certain=False, reason=f"no answer within {seconds} s")

    async def _exchange(self, request: OutgoingRequest) -> WireResponse:
        async with self._client.stream(
            request.method, request.path, headers=request.headers, content=request.content
        ) as response:
            body = await self._capped_body(response)
            asked = response.headers.get("retry-after", "")
            return WireResponse(response.status_code, body, _seconds(asked, self._clock()))

    async def _capped_body(self, response: httpx.Response) -> bytes:
        """The first bytes of the answer, not decompressed: a small bomb stays small."""
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) >= self._limits.max_response_bytes:
                break
        return bytes(body[: self._limits.max_response_bytes])


@cache
def _tls() -> ssl.SSLContext:
    """One for all connections of the process: it takes megabytes and a good part of a second."""
    return httpx.create_ssl_context(trust_env=False)


def _seconds(retry_after: str, now: datetime) -> float | None:
    """Retry-After in seconds: it holds those, or a date (RFC 9110, section 10.2.3)."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:_MOST_DIGITS])
    try:
        moment = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())


def _reason(error: httpx.HTTPError) -> str:
    """The kind of fault, in words; the error's own text may hold addresses."""
    name = type(error).__name__
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in name)
    return words.strip()
