"""Sends a counted file, from where an earlier run ended, and notes how far it came.

Knows neither the command line nor the clock.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Protocol

from conversion_relay.service.backfill.inputs import Input
from conversion_relay.service.backfill.progress import ProgressFile, Task, identity
from conversion_relay.service.backfill.reading import Damage, Line, read
from conversion_relay.service.backfill.sending import Bounds, Door, batches
from conversion_relay.service.backfill.survey import Horizon, Survey, survey
from conversion_relay.service.http.admin.backfill import BackfillAnswer


class Onlooker(Protocol):
    """Who is told how a transfer goes."""

    def passed(self, lines_done: int) -> None:
        """So many lines of the file are done."""
        ...

    def taken(self, answer: BackfillAnswer) -> None:
        """A batch was kept."""
        ...

    def remark(self, text: str) -> None:
        """Something a person should know."""
        ...


def count(one: Input, horizon: Horizon) -> Survey:
    """What the input holds.

    Raises:
        RelayError: it cannot be opened.
    """
    with one.opened() as file:
        return survey(read(file), horizon)


@dataclass(frozen=True, slots=True)
class Transfer:
    """Sends files.

    Attributes:
        door: takes the events.
        horizon: what is older is left out.
        bounds: of one request.
        database: where the events are kept, so that progress there says nothing of another.
        onlooker: is told.
    """

    door: Door
    horizon: Horizon
    bounds: Bounds
    database: str
    onlooker: Onlooker

    async def send(self, one: Input, counted: Survey) -> None:
        """Has every event of the counted lines kept that was not noted as kept before.

        Raises:
            RelayError: the service refused events or took none for too long; what was taken is
                noted.
        """
        bookmark = self._bookmark(one)
        done = await bookmark.begin(one.name, partial(self._knows, one))
        self.onlooker.passed(done)
        with one.opened() as file:
            lines = self._lines(read(file), done, counted.lines)
            for batch in batches(lines, self.bounds):
                if batch.events:
                    self.onlooker.taken(await self.door.take(batch.events))
                bookmark.put(batch.lines_done)
                self.onlooker.passed(max(batch.lines_done, done))
        if counted.damage is None:
            bookmark.remove()

    async def _knows(self, one: Input, done: int) -> bool:
        """Whether all of the last batch before that line is known: it is not to another database.

        Nor is it to one that was put back from a backup.
        """
        last: tuple[bytes, ...] = ()
        with one.opened() as file:
            for batch in batches(self._lines(read(file), 0, done), self.bounds):
                last = batch.events or last
        if not last:
            return True
        answer = await self.door.take(last)
        if answer.accepted:
            self.onlooker.taken(answer)
        return not answer.accepted

    def _lines(self, lines: Iterator[Line | Damage], done: int, last: int) -> Iterator[Line]:
        """What is young enough on the lines behind those that are done; no more than counted."""
        for line in lines:
            if isinstance(line, Damage) or line.number > last:
                return
            if line.number > done:
                yield self.horizon.kept(line)

    def _bookmark(self, one: Input) -> _Bookmark:
        if one.path is None:
            return _Bookmark(None, self.onlooker.remark)
        with one.opened() as file:
            size, head = identity(file)
            modified_ns = os.fstat(file.fileno()).st_mtime_ns
        seconds = self.horizon.max_age / timedelta(seconds=1)
        task = Task(size, head, self.door.source, seconds, self.database, modified_ns)
        path = one.path.with_name(f"{one.path.name}.backfill")
        return _Bookmark(ProgressFile(path, task), self.onlooker.remark)


@dataclass(slots=True)
class _Bookmark:
    """The progress file, as long as it can be written."""

    _file: ProgressFile | None
    _remark: Callable[[str], None]
    _begun_at: int = field(default=0)

    async def begin(self, name: str, knows: Callable[[int], Awaitable[bool]]) -> int:
        """How many lines are done already, and are known to the service to be."""
        if self._file is None:
            return 0
        done = self._file.lines_done()
        if done is None or (done and not await knows(done)):
            done = None
            self._remark(
                f"{name} is begun anew: it, --source, --max-age or the database changed since "
                f"{self._file.path} was written. Nothing is counted twice"
            )
        elif done:
            self._remark(f"{name} goes on behind line {done:,}, as {self._file.path} says")
        self._begun_at = done or 0
        return self._begun_at

    def put(self, lines_done: int) -> None:
        if self._file is None or lines_done <= self._begun_at:
            return
        try:
            self._file.write(lines_done)
        except OSError as error:
            self._remark(
                f"{self._file.path} cannot be written: {error.strerror}. If this run is "
                "interrupted, the next reads the file from its beginning; nothing is counted twice"
            )
            self._file = None

    def remove(self) -> None:
        if self._file is None:
            return
        try:
            self._file.remove()
        except OSError as error:
            self._remark(f"{self._file.path} cannot be removed: {error.strerror}")
