"""The workers of the configured destinations, exchanged while the service runs.

A destination whose connection is as it was keeps its worker and its lane. Another one gets a new
worker; the one before claims nothing more and ends what is on its way. Knows no partner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from conversion_relay.core.plan import Target
from conversion_relay.service.settings import Configuration, DestinationSettings
from conversion_relay.service.worker import Worker

STOP_SECONDS: Final = 8.0
Build: TypeAlias = Callable[[Target, DestinationSettings], AbstractAsyncContextManager[Worker]]
"""Opens the connections of a destination, and gives the worker that uses them."""
_Connection: TypeAlias = tuple[object, ...]


def refusable(settings: DestinationSettings) -> tuple[str | None, ...]:
    """What the partner may refuse besides the token."""
    return (
        settings.api_url,
        settings.pixel_code,
        settings.test_event_code,
        settings.partner_name,
    )


def connection_of(settings: DestinationSettings) -> _Connection:
    """With what a worker sends, but the token: as long as it is the same, the worker stays."""
    return (
        *refusable(settings),
        settings.proxy_url,
        settings.max_requests_in_flight,
        settings.horizon,
    )


@dataclass(slots=True, eq=False)
class _Post:
    """A worker at its place.

    Attributes:
        connection: what it was made for.
        closing: lets go of its connections.
        task: in which it runs, once it does.
    """

    worker: Worker
    connection: _Connection
    closing: AsyncExitStack
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """Workers that are ready to begin.

    Attributes:
        names: of every destination from then on, in their order.
        new: by the name of the destination.
    """

    names: tuple[str, ...]
    new: Mapping[str, _Post]


@dataclass(slots=True)
class Fleet:
    """Every worker.

    Attributes:
        build: makes one.
        stop_seconds: how long what is on its way may take at the end.
        works: whether there are any; a node that only takes events in has none.
        workers: by the name of their destination; always the same mapping.
    """

    build: Build
    stop_seconds: float = STOP_SECONDS
    works: bool = True
    workers: dict[str, Worker] = field(default_factory=dict)
    _posts: dict[str, _Post] = field(default_factory=dict)
    _retired: dict[asyncio.Task[None], Worker] = field(default_factory=dict)
    _running: bool = False

    async def prepare(self, configuration: Configuration, targets: Sequence[Target]) -> Exchange:
        """Makes the workers that are missing for these destinations; nothing begins yet."""
        new: dict[str, _Post] = {}
        wanted = targets if self.works else ()
        try:
            for target in wanted:
                settings = configuration.destinations[target.name]
                connection = connection_of(settings)
                present = self._posts.get(target.name)
                if present is None or present.connection != connection:
                    new[target.name] = await self._post(target, settings, connection)
        except BaseException:
            for post in new.values():
                await post.closing.aclose()
            raise
        return Exchange(tuple(target.name for target in wanted), new)

    def swap(self, exchange: Exchange) -> None:
        """Has the new ones begin and those stop that have no place any more. Waits for nothing."""
        posts = {name: exchange.new.get(name) or self._posts[name] for name in exchange.names}
        for name, post in self._posts.items():
            if posts.get(name) is not post:
                self._retire(post)
            if name not in posts:
                post.worker.dispatch.lane.hide()
        self._posts = posts
        self.workers.clear()
        self.workers.update((name, post.worker) for name, post in posts.items())
        if self._running:
            self.start()

    async def renew(self, configuration: Configuration) -> None:
        """Gives each worker the token of its destination; a lane that this one held goes on."""
        for name, worker in self.workers.items():
            settings = configuration.destinations.get(name)
            if settings is not None:
                await worker.renew(settings.access_token.get_secret_value())

    def start(self) -> None:
        """Has those begin that have not begun."""
        self._running = True
        for post in self._posts.values():
            if post.task is None:
                post.task = asyncio.create_task(post.worker.run())

    @property
    def is_whole(self) -> bool:
        """Whether every worker runs."""
        tasks = [post.task for post in self._posts.values()]
        return self._running and not any(task is None or task.done() for task in tasks)

    def stop(self) -> None:
        """Tells every worker to claim nothing more."""
        for worker in self.workers.values():
            worker.stop()

    async def ended(self) -> None:
        """Comes back when everything has ended that was on its way; after a while that is cut."""
        self.stop()
        tasks = [post.task for post in self._posts.values() if post.task is not None]
        if tasks or self._retired:
            await asyncio.wait([*tasks, *self._retired], timeout=self.stop_seconds)
        for worker in self._retired.values():
            worker.hurry()
        if tasks or self._retired:
            await asyncio.wait([*tasks, *self._retired])
        self._running = False

    async def close(self) -> None:
        """Lets go of every connection."""
        for post in self._posts.values():
            await post.closing.aclose()

    async def _post(
        self, target: Target, settings: DestinationSettings, connection: _Connection
    ) -> _Post:
        closing = AsyncExitStack()
        worker = await closing.enter_async_context(self.build(target, settings))
        return _Post(worker, connection, closing)

    def _retire(self, post: _Post) -> None:
        post.worker.retire()
        task = asyncio.create_task(_end(post))
        self._retired[task] = post.worker
        task.add_done_callback(self._retired.pop)


async def _end(post: _Post) -> None:
    """Waits for what the worker has on its way, then closes its connections."""
    if post.task is not None:
        await asyncio.wait([post.task])
    await post.closing.aclose()
