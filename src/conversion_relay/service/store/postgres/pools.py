"""Pools of connections to the servers that a URL names. Knows no table.

Each server is tried in turn, for a time of its own: one that takes no writes or does not answer
must not use up the time of the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from conversion_relay.service.store.postgres.connections import (
    COMMAND_SECONDS,
    CONNECT_SECONDS,
    Connections,
)

if TYPE_CHECKING:
    _Raw: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    _Raw = object

Dial: TypeAlias = Callable[[], Awaitable[_Raw]]
"""Makes a connection."""
_STATEMENTS: Final = 200
_MILLISECONDS: Final = 1000
_GENERAL: Final = {
    "application_name": "conversion-relay",
    "jit": "off",
    "idle_in_transaction_session_timeout": str(round(4 * COMMAND_SECONDS * _MILLISECONDS)),
}
HOT: Final = {
    **_GENERAL,
    "statement_timeout": str(round(2 * COMMAND_SECONDS * _MILLISECONDS)),
    "lock_timeout": str(round(COMMAND_SECONDS * _MILLISECONDS)),
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""For short statements: planned once, each row looked up. The times are a net below our own."""
SLOW: Final = {**_GENERAL, "lock_timeout": str(round(COMMAND_SECONDS * _MILLISECONDS))}


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is.

    Attributes:
        url: `postgresql://user@host:port/database`, with several hosts and options where wanted.
        password: unless the server needs none.
        connections: at most, of this node.
        weak_durability: one that may forget commits in a crash will do.
        pooled: behind a pooler that gives a connection for a transaction only.
    """

    url: str
    password: str | None = field(default=None, repr=False)
    connections: int = 10
    weak_durability: bool = False
    pooled: bool = False


def server_urls(url: str) -> tuple[str, ...]:
    """The URL of each of the servers that it names, in order."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    return tuple(
        urlunsplit(parts._replace(netloc=f"{user}{at}{host}")) for host in hosts.split(",")
    )


async def open_pool(address: Address, most: int, settings: dict[str, str]) -> Connections:
    """At most so many connections with these settings; none is made before it is needed."""
    pool = await asyncpg.create_pool(
        address.url,
        min_size=0,
        max_size=most,
        connect=_Connector(address, {} if address.pooled else settings),
        reset=_leave_as_it_is,
    )
    return Connections(pool, most)


def dial_of(address: Address) -> Dial | None:
    """What makes a connection outside every pool; None: a pooler gives nobody one of his own."""
    return None if address.pooled else _Connector(address, _GENERAL)


class _Connector:
    """Connects to the server that took the last connection, or to the next that takes one."""

    def __init__(self, address: Address, settings: dict[str, str]) -> None:
        self._address = address
        self._settings = settings
        self._urls = server_urls(address.url)

    async def __call__(self, *_: object, **__: object) -> _Raw:
        for _again in self._urls[1:]:
            try:
                return await self._connected()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError):
                self._urls = (*self._urls[1:], self._urls[0])
        return await self._connected()

    async def _connected(self) -> _Raw:
        return await asyncpg.connect(
            self._urls[0],
            password=self._address.password,
            timeout=CONNECT_SECONDS,
            target_session_attrs=SessionAttribute.read_write,
            statement_cache_size=0 if self._address.pooled else _STATEMENTS,
            max_cached_statement_lifetime=0,
            server_settings=self._settings,
        )


async def _leave_as_it_is(_: _Raw) -> None:
    """Nothing is ever set for longer than a transaction: there is nothing to reset."""
