"""In front of the application: how many requests at a time, and how many bytes of bodies together.

Whoever is slow gives way to whoever comes: of those whose bodies still arrive, the one that came
first. Knows no source and no event; paths for whoever watches over the service are always open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conversion_relay.service.http import refusals
from conversion_relay.service.http.edge.body import NoRoom

_SMALL_BYTES: Final = 64 * 1024
_SHARE_FOR_SMALL: Final = 8
_WATCHING: Final = frozenset({"/", "/healthz", "/readyz", "/metrics"})
_ADMIN: Final = "/api/"


@dataclass(slots=True)
class Budget:
    """How many bytes of bodies may be held at a time.

    An eighth is kept for small bodies, so that large ones cannot shut single events out.

    Attributes:
        max_bytes: of all together.
    """

    max_bytes: int
    _held: int = 0

    def take(self, size_bytes: int, announced: int | None) -> bool:
        """Whether there is room for so many bytes more of a body of the announced length."""
        small = announced is not None and announced <= _SMALL_BYTES
        kept = 0 if small else self.max_bytes // _SHARE_FOR_SMALL
        if self._held + size_bytes > self.max_bytes - kept:
            return False
        self._held += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """So many bytes are not held any more."""
        self._held -= size_bytes


class Gate:
    """Lets so many requests through at a time, with so many bytes of bodies.

    Args:
        app: the application behind it.
        max_requests: at a time.
        budget: of the bodies that arrive or were not worked on yet.
        turned_away: called with the slug of the problem for each request that is not let through.
    """

    def __init__(
        self, app: ASGIApp, max_requests: int, budget: Budget, turned_away: Callable[[str], None]
    ) -> None:
        self._app = app
        self._max_requests = max_requests
        self._budget = budget
        self._turned_away = turned_away
        self._inside = 0
        self._receiving: dict[_Visit, None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 503."""
        if scope["type"] != "http" or scope["path"] in _WATCHING:
            await self._app(scope, receive, send)
            return
        counted = not scope["path"].startswith(_ADMIN)
        if counted and self._inside >= self._max_requests and not self._made_room():
            await self._refuse(scope, receive, send)
            return
        await self._let_through(_Visit(receive, self._budget, _announced(scope)), scope, send)

    def _made_room(self) -> bool:
        """Whether somebody slow is on the way out in favour of who comes."""
        slowest = next(iter(self._receiving), None)
        if slowest is None:
            return False
        del self._receiving[slowest]
        slowest.give_way()
        return True

    async def _let_through(self, visit: _Visit, scope: Scope, send: Send) -> None:
        self._inside += 1
        self._receiving[visit] = None
        try:
            await self._app(scope, self._watched(visit), send)
        except NoRoom:
            await self._refuse(scope, visit.inner, send)
        finally:
            self._inside -= 1
            self._receiving.pop(visit, None)
            self._budget.give_back(visit.held)

    def _watched(self, visit: _Visit) -> Receive:
        async def receive() -> Message:
            message = await visit.receive()
            if not message.get("more_body", False):
                self._receiving.pop(visit, None)
            return message

        return receive

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = refusals.crowded()
        self._turned_away(problem.slug)
        await problem.response()(scope, receive, send)


@dataclass(slots=True, eq=False)
class _Visit:
    """One request inside."""

    inner: Receive
    budget: Budget
    announced: int | None
    held: int = 0
    _gives_way: bool = False
    _waiting: asyncio.Task[object] | None = None

    async def receive(self) -> Message:
        """The next of the request.

        Raises:
            NoRoom: there is no room for it, or this request gives way to another.
        """
        message = await self._next()
        size = len(message.get("body", b""))
        if not self.budget.take(size, self.announced):
            raise NoRoom
        self.held += size
        return message

    def give_way(self) -> None:
        """Ends the wait for the rest of the body."""
        self._gives_way = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def _next(self) -> Message:
        """As `asyncio.timeout` would do it, which costs more than all the rest of the gate."""
        if self._gives_way:
            raise NoRoom
        task = asyncio.current_task()
        cancelled_before = 0 if task is None else task.cancelling()
        self._waiting = task
        try:
            return await self.inner()
        except asyncio.CancelledError:
            by_us = self._gives_way and task is not None
            if by_us and task.uncancel() <= cancelled_before:
                raise NoRoom from None
            raise
        finally:
            self._waiting = None


def _announced(scope: Scope) -> int | None:
    """The length of the body if it is announced as a number of bytes."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= 18 else None  # noqa: PLR2004
    has_none = all(name != b"transfer-encoding" for name, _ in scope["headers"])
    return 0 if has_none else None
