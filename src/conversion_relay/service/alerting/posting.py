"""Posts a message of a channel over HTTP, past the guard. Knows no channel's form."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

from conversion_relay.service.alerting.channel import NotSent, Result, Sent
from conversion_relay.service.alerting.guard import AddressRefused, Guard, GuardedTransport

_TOTAL_SECONDS: Final = 15.0
_CONNECT_SECONDS: Final = 5.0
_MOST_OF_AN_ANSWER: Final = 16 * 1024


def host_of(url: str) -> str:
    """The host of an address, which alone may be told."""
    return urlsplit(url).hostname or ""


async def post(
    url: str,
    content: bytes,
    headers: Mapping[str, str],
    guard: Guard,
    total_seconds: float = _TOTAL_SECONDS,
) -> Result:
    """What came of a POST: any status of 2xx is good, and no redirect is followed."""
    try:
        async with (
            asyncio.timeout(total_seconds),
            _client(guard) as client,
            client.stream("POST", url, content=content, headers=headers) as response,
        ):
            await _read(response)
            return _result(response)
    except AddressRefused as error:
        return NotSent(str(error))
    except TimeoutError:
        return NotSent(f"no answer within {total_seconds:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return NotSent(_words(error))


def _client(guard: Guard) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=GuardedTransport(guard),
        timeout=httpx.Timeout(_TOTAL_SECONDS, connect=_CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
        headers={
            "User-Agent": "conversion-relay",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        },
    )


async def _read(response: httpx.Response) -> None:
    """Takes the beginning of the answer: to some, a sender that left before is a failure."""
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size >= _MOST_OF_AN_ANSWER:
            return


def _result(response: httpx.Response) -> Result:
    if response.is_success:
        return Sent()
    asked = response.headers.get("retry-after", "")
    wait = float(asked[:9]) if asked.isascii() and asked.isdigit() else None
    if response.is_redirect:
        return NotSent(f"status {response.status_code}, and redirects are not followed", wait)
    return NotSent(f"status {response.status_code}", wait)


def _words(error: Exception) -> str:
    """The kind of fault, in words; the error's own text may hold addresses."""
    name = type(error).__name__
    words = "".join(f" {char.lower()}" if char.isupper() else char for char in name)
    return words.strip()
