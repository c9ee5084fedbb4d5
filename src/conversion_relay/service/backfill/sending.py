"""Sends events to the admin path, a batch at a time, and waits where the service cannot take them.

Knows no file; the pauses are its caller's to make.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httpx

from conversion_relay.errors import RelayError
from conversion_relay.service.backfill.reading import Line
from conversion_relay.service.http.admin.backfill import PATH, BackfillAnswer
from conversion_relay.service.operating import answer_of, detail_of

PAUSES_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Between the tries of one batch: two minutes in all."""
_NOT_NOW: Final = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much goes into one request."""

    events: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are sent together.

    Attributes:
        events: in the order of the file; none, where only lines without events were passed.
        lines_done: the last line of which nothing is left once this batch is taken.
    """

    events: tuple[bytes, ...] = field(repr=False)
    lines_done: int


def batches(lines: Iterable[Line], bounds: Bounds) -> Iterator[Batch]:
    """The events of the lines, in order; an event that is larger than the bounds goes alone."""
    waiting: list[bytes] = []
    size = done = 0
    for line in lines:
        for event in line.events:
            is_full = len(waiting) == bounds.events or size + len(event.text) > bounds.size_bytes
            if waiting and is_full:
                yield Batch(tuple(waiting), done)
                waiting, size = [], 0
            waiting.append(event.text)
            size += len(event.text) + 1
        done = line.number
    if done:
        yield Batch(tuple(waiting), done)


@dataclass(frozen=True, slots=True)
class Door:
    """The admin path of the service.

    Attributes:
        client: with the admin token.
        source: under which the events are kept.
        pause: waits so many seconds.
        waiting: is told, before a pause, why, and how many seconds it lasts.
    """

    client: httpx.AsyncClient
    source: str
    pause: Callable[[float], Awaitable[None]]
    waiting: Callable[[str, float], None]

    async def take(self, events: Sequence[bytes]) -> BackfillAnswer:
        """Has the events kept, trying again for a while.

        Raises:
            ConfigurationError: the service refuses the admin token, or what was asked.
            RelayError: it refuses the events, or did not take them in all that time.
        """
        content = b"[" + b",".join(events) + b"]"
        for seconds in PAUSES_SECONDS:
            found = await self._try(content)
            if isinstance(found, BackfillAnswer):
                return found
            self.waiting(found, seconds)
            await self.pause(seconds)
        found = await self._try(content)
        if isinstance(found, BackfillAnswer):
            return found
        waited = sum(PAUSES_SECONDS)
        raise RelayError(f"the service did not take the events for {waited:.0f} s: {found}")

    async def _try(self, content: bytes) -> BackfillAnswer | str:
        """What was kept, or why it has to be tried again."""
        try:
            response = await self.client.post(
                PATH,
                params={"source": self.source},
                content=content,
                headers={"Content-Type": "application/json"},
            )
        except httpx.TransportError as error:
            return f"it cannot be reached ({type(error).__name__})"
        if response.status_code in _NOT_NOW:
            return detail_of(response)
        return answer_of(response, BackfillAnswer)
