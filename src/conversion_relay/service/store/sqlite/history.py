"""The past besides events, as operators ask for it: which thread does what. Knows no query.

What may take long is read in short steps, on a connection and a thread of its own: deliveries
never wait for a report.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from conversion_relay.service.place import log_of
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.embedded.connection import unavailable
from conversion_relay.service.store.history import (
    AlertRecord,
    AnswerCount,
    FlowCount,
    Moment,
    OutcomeCount,
    RequestRecord,
    Strain,
    VersionRecord,
    Waiting,
)
from conversion_relay.service.store.sqlite import alerts, requests, tallies, versions
from conversion_relay.service.store.sqlite.outcomes import Moments, Outcomes, WaitingValue
from conversion_relay.service.store.sqlite.reader import Reader
from conversion_relay.service.store.sqlite.writer import Writer

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class _Sum(Protocol[Result_co]):
    """Something that is added up in short steps."""

    def add(self, connection: apsw.Connection) -> bool:
        """One step; whether there is nothing more."""
        ...

    def result(self) -> Result_co:
        """What it came to."""
        ...


@dataclass(frozen=True, slots=True)
class SqliteHistory:
    """Implements the port `History`.

    Attributes:
        writer: of the store.
        reader: a connection of its own.
        sealer: of configurations.
        path: of the database.
        turn: held during each step of reading; whoever holds it keeps the history from reading.
    """

    writer: Writer
    reader: Reader
    sealer: Sealer
    path: Path
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def add_flow(self, counts: Sequence[FlowCount]) -> None:
        """Add these counts to those of their minutes."""
        if counts:
            await self.writer.call(partial(tallies.add_flow, counts=tuple(counts)))

    async def flow(self, since: datetime, until: datetime, step: timedelta) -> Sequence[FlowCount]:
        """Counts by step, oldest first."""
        return await self._sum(tallies.Flow(since, until, step))

    async def waiting(self) -> Sequence[Waiting]:
        """What has not arrived yet, by destination and state."""
        return await self._read(tallies.waiting)

    async def waiting_value(self, destination: str) -> Mapping[str, int]:
        """What waits for this destination is worth: millionths by currency."""
        return await self._sum(WaitingValue(destination))

    async def attempts(self, delivery: int) -> Sequence[RequestRecord]:
        """The requests in which this delivery travelled, oldest first."""
        return await self._read(partial(requests.attempts, delivery=delivery))

    async def requests(
        self, since: datetime, until: datetime, limit: int
    ) -> Sequence[RequestRecord]:
        """The newest requests of that time, newest first."""
        ask = partial(requests.newest, since=since, until=until, limit=limit)
        return await self._read(ask)

    async def answers(
        self, since: datetime, until: datetime, step: timedelta
    ) -> Sequence[AnswerCount]:
        """The answers of that time by step, oldest first."""
        return await self._sum(requests.Answers(since, until, step))

    async def outcomes(
        self, since: datetime, until: datetime, bounds: Sequence[timedelta]
    ) -> Sequence[OutcomeCount]:
        """What became of the deliveries of events received in that time."""
        return await self._sum(Outcomes(since, until, bounds))

    async def moments(self, since: datetime, until: datetime, step: timedelta) -> Sequence[Moment]:
        """The course of that time, oldest first."""
        return await self._sum(Moments(since, until, step))

    async def keep_alert(self, alert: AlertRecord) -> int:
        """Keep a new alert or the present form of a kept one; gives its id."""
        return await self.writer.call(partial(alerts.keep_alert, alert=alert))

    async def alerts(self, limit: int) -> Sequence[AlertRecord]:
        """Every open alert, and of the others the newest; newest first."""
        return await self._read(partial(alerts.alerts, limit=limit))

    async def keep_version(self, version: VersionRecord) -> int:
        """Keep a configuration that came into effect; gives its id."""
        keep = partial(versions.keep_version, version=version, sealer=self.sealer)
        return await self.writer.call(keep)

    async def versions(self, limit: int) -> Sequence[VersionRecord]:
        """The newest configurations, newest first."""
        return await self._read(partial(versions.versions, limit=limit, sealer=self.sealer))

    async def version(self, number: int) -> VersionRecord | None:
        """The configuration with this id."""
        return await self._read(partial(versions.version, number=number, sealer=self.sealer))

    async def sizes(self) -> Mapping[str, int]:
        """Bytes of the database, of its log, and of the disk under them."""
        try:
            return await asyncio.to_thread(_sizes, self.path)
        except OSError as error:
            raise unavailable(error) from error

    async def strain(self) -> Strain:
        """Nothing that another program could cause: one process owns the file."""
        return Strain()

    async def _read(self, work: Callable[[apsw.Connection], Result]) -> Result:
        async with self.turn:
            return await self.reader.run(work)

    async def _sum(self, total: _Sum[Result_co]) -> Result_co:
        while not await self._read(total.add):
            pass
        return total.result()


def _sizes(path: Path) -> dict[str, int]:
    disk = os.statvfs(path.parent)
    log = log_of(path)
    return {
        "database": path.stat().st_size,
        "log": log.stat().st_size if log.exists() else 0,
        "disk_free": disk.f_bavail * disk.f_frsize,
        "disk_size": disk.f_blocks * disk.f_frsize,
    }
