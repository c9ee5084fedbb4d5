"""The way out for alerts: resolves a name once, judges every address, connects to those alone.

The name is not asked again between the judgement and the connection, so that it cannot mean
another machine by then. TLS still verifies the name. Knows no channel.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final, TypeAlias

import httpx
from typing_extensions import override

from conversion_relay.service.alerting.addresses import objection

_MOST_ADDRESSES: Final = 4
"""Of one host: each may take seconds to find out that nobody is there."""
_THREADS: Final = 8
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]


class AddressRefused(httpx.ConnectError):
    """An alert may not be sent there, or there is no such place."""


@cache
def tls() -> ssl.SSLContext:
    """One for all connections of the process: it takes megabytes and a good part of a second."""
    return httpx.create_ssl_context(trust_env=False)


@cache
def threads() -> Executor:
    """Those of alerts: name and mail servers that hang must not take the service's own."""
    return ThreadPoolExecutor(_THREADS, "alerts")


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, as the system knows them; raises OSError or UnicodeError."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(threads(), look_up)
    return [str(place[0]) for _, _, _, _, place in found]


@dataclass(frozen=True, slots=True)
class Guard:
    """Says to which addresses a host may be reached.

    Attributes:
        allow_private: see `addresses.objection`.
        resolve: gives the addresses of a host and port.
        encryption: gives what certificates are verified with.
    """

    allow_private: bool
    resolve: Resolve = field(default=resolve, compare=False)
    encryption: Callable[[], ssl.SSLContext] = field(default=tls, compare=False)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Those that may be connected to, in the resolver's order, at least one, not many.

        Raises:
            AddressRefused: with the reason, which names no address.
        """
        try:
            found = list(dict.fromkeys(await self.resolve(host, port)))
        except (OSError, UnicodeError):
            raise AddressRefused("the name of the host does not resolve") from None
        objections = {one: objection(one, allow_private=self.allow_private) for one in found}
        allowed = [one for one in found if objections[one] is None]
        if allowed:
            return allowed[:_MOST_ADDRESSES]
        why = next(iter(objections.values()), None)
        if why is None:
            raise AddressRefused("the name of the host has no address")
        raise AddressRefused(
            f"the host leads to an address that is {why}; only public ones are allowed, or "
            "private ones with alerts.allow_private_addresses"
        )


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests to judged addresses only.

    Connections are not kept: one that was verified for a name must not serve another one that has
    the same address.

    Args:
        guard: judges.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpx.AsyncHTTPTransport(
            verify=guard.encryption(),
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer of the first address that takes the connection."""
        host, url = request.url.host, request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        failure: httpx.TransportError | None = None
        for address in await self._guard.addresses(host, port):
            request.url = url.copy_with(host=address)
            request.extensions = {**request.extensions, "sni_hostname": host}
            try:
                return await self._inner.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or httpx.ConnectError("no address")

    @override
    async def aclose(self) -> None:
        """Closes what is open."""
        await self._inner.aclose()
