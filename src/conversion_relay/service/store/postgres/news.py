"""What nodes tell each other, over LISTEN and NOTIFY, on one connection of this node's own.

Never needed: whoever hears looks now and then anyway. A connection that listens can die without a
word, so it is asked something regularly, and made anew when it does not answer. Nothing is told on
any other connection: a NOTIFY inside a transaction makes commits wait for each other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg

from conversion_relay.service.store.cluster import Topic
from conversion_relay.service.store.postgres.connections import COMMAND_SECONDS
from conversion_relay.service.store.postgres.pools import Dial
from conversion_relay.service.store.postgres.queries import QUERIES

if TYPE_CHECKING:
    _Raw: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    _Raw = object

_Sleep: TypeAlias = Callable[[float], Awaitable[None]]
TELL_SECONDS: Final = 0.2
"""Between two messages of a node: what is told in between is told once, at its end."""
ASK_SECONDS: Final = 10.0
"""Between two signs that the connection is alive."""
AGAIN_SECONDS: Final = 1.0
_CHANNEL: Final = "relay_"
_FAILED: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class News:
    """What this node tells and hears; begins with the first of either.

    Args:
        node: what this node is called; it does not hear itself.
        dial: makes the connection.
        sleep: waits so many seconds.
    """

    def __init__(self, node: str, dial: Dial, sleep: _Sleep = asyncio.sleep) -> None:
        self._node = node
        self._dial = dial
        self._sleep = sleep
        self._heard: dict[Topic, list[Callable[[], None]]] = {topic: [] for topic in Topic}
        self._to_tell: set[Topic] = set()
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hear(self, topic: Topic, called: Callable[[], None]) -> None:
        """Have this called when another node tells of it, and when some may have been missed."""
        self._heard[topic].append(called)
        self._begin()

    def tell(self, topic: Topic) -> None:
        """Have the others hear of it soon. Waits for nothing."""
        self._to_tell.add(topic)
        self._something.set()
        self._begin()

    async def close(self) -> None:
        """Hear and tell nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Connected as often as it is needed, until cancelled."""
        while True:
            try:
                await self._connected()
            except _FAILED:  # whoever would have been told looks by himself
                self._to_tell.clear()
            await self._sleep(AGAIN_SECONDS)

    async def _connected(self) -> None:
        """One connection, until it is lost."""
        connection = await self._dial()
        try:
            connection.add_termination_listener(self._lost)
            async with asyncio.timeout(COMMAND_SECONDS):
                for topic in Topic:
                    await connection.add_listener(_CHANNEL + topic.value, self._told)
            for topic in Topic:
                self._call(topic)  # meanwhile nothing was heard
            while not connection.is_closed():
                await self._tell_or_ask(connection)
        finally:
            connection.terminate()

    async def _tell_or_ask(self, connection: _Raw) -> None:
        """What there is to tell, after a while in which others may join; or a sign of life."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await self._something.wait()
        except TimeoutError:
            pass
        self._something.clear()
        topics, self._to_tell = sorted(topic.value for topic in self._to_tell), set()
        channels = [_CHANNEL + topic for topic in topics]
        await connection.execute(QUERIES["tell"], channels, self._node, timeout=COMMAND_SECONDS)
        await self._sleep(TELL_SECONDS)

    def _lost(self, _: object) -> None:
        self._something.set()

    def _told(self, _: object, __: int, channel: str, payload: object) -> None:
        if payload != self._node:
            self._call(Topic(channel.removeprefix(_CHANNEL)))

    def _call(self, topic: Topic) -> None:
        for called in self._heard[topic]:
            called()
