"""Where what waits of each envelope begins, found fast under an old transaction as well.

What was claimed leaves dead entries at the front of the index, which every look from the beginning
passes over. They are cleared away while somebody passes, unless an old transaction (a dump, a
forgotten session) may still need them: then they become more and more. So a look that took long is
followed by looks that begin where the last one found something, and only now and then, in a small
share of the time, by one from the beginning.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from conversion_relay.service.store.postgres.connections import Connection, Connections
from conversion_relay.service.store.postgres.queries import QUERIES

_LONG_SECONDS: Final = 0.02
_PAUSES: Final = 20
"""After a look that took long, none from the beginning for so many times that long."""
_LONGEST_PAUSE_SECONDS: Final = 10.0
_SLACK: Final = 1_000_000
"""Microseconds by which what is committed late may be due before what was found already."""


class Head(NamedTuple):
    """The first that waits of an envelope, due in microseconds."""

    envelope: int
    name: str
    due_at: int


class Heads:
    """Looks, and remembers from where on there is something.

    Args:
        connections: to the database.
        clock: seconds that never go back.
        long_seconds: a look that takes so long took long.
    """

    def __init__(
        self,
        connections: Connections,
        clock: Callable[[], float] = time.monotonic,
        long_seconds: float = _LONG_SECONDS,
    ) -> None:
        self._connections = connections
        self._clock = clock
        self._long_seconds = long_seconds
        self._since: dict[str, dict[int, int]] = defaultdict(dict)
        self._whole_again: dict[str, float] = {}

    async def of(self, destination: str, latest: int | None = None) -> list[Head]:
        """Each envelope of the destination that has something waiting, the earliest first.

        Args:
            destination: whose.
            latest: the present, in microseconds, where what is due is about to be claimed.

        Raises:
            StoreUnavailable: the database does not say.
        """
        whole = self._clock() >= self._whole_again.get(destination, 0.0)
        if whole:  # one that is not done in time must not keep all others from looking
            self._whole_again[destination] = self._clock() + _LONGEST_PAUSE_SECONDS
        since = self._since[destination]
        bounds = {} if whole else since
        rows, seconds = await self._connections.run(
            partial(self._look, destination=destination, bounds=bounds)
        )
        if whole:
            self._plan(destination, seconds)
        if latest is not None:
            since.update(
                {
                    envelope: latest if due is None else min(due, latest)
                    for envelope, _, due in rows
                }
            )
        else:  # a claim that follows has to find what was found here
            since.update(
                {
                    envelope: min(due, since[envelope])
                    for envelope, _, due in rows
                    if due is not None and envelope in since
                }
            )
        return [Head(envelope, name, due) for envelope, name, due in rows if due is not None]

    def lower(self, due_at: int) -> None:
        """Something became due at this time, of whatever envelope."""
        for since in self._since.values():
            since.update({envelope: min(found, due_at) for envelope, found in since.items()})

    def _plan(self, destination: str, seconds: float) -> None:
        took_long = seconds >= self._long_seconds
        pause = min(seconds * _PAUSES, _LONGEST_PAUSE_SECONDS) if took_long else 0.0
        self._whole_again[destination] = self._clock() + pause

    async def _look(
        self, connection: Connection, destination: str, bounds: Mapping[int, int]
    ) -> tuple[list[tuple[int, str, int | None]], float]:
        since = [found - _SLACK for found in bounds.values()]
        began_at = self._clock()
        rows = await connection.fetch(QUERIES["heads"], destination, list(bounds), since)
        return [(*row,) for row in rows], self._clock() - began_at
