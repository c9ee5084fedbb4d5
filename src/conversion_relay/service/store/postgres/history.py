"""The past besides events, as operators ask for it: which connection does what. Knows no query.

What may take long is read in short pages on connections of their own: deliveries never wait for a
report.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar

from conversion_relay.errors import StoreBusy, StoreUnavailable
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
from conversion_relay.service.store.postgres import alerts, requests, sizes, tallies, versions
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.outcomes import Moments, Outcomes, WaitingValue
from conversion_relay.service.store.postgres.strain import Course, strain

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)
_PAGE_SECONDS: Final = 30.0


class _Sum(Protocol[Result_co]):
    """Something that is added up in short pages."""

    async def add(self, connection: Connection) -> bool:
        """One page; whether there is nothing more."""
        ...

    def result(self) -> Result_co:
        """What it came to."""
        ...


class PostgresHistory:
    """Implements the port `History`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._course = Course()

    async def add_flow(self, counts: Sequence[FlowCount]) -> None:
        """Add these counts to those of their minutes."""
        if counts:
            await self._write(partial(tallies.add_flow, counts=counts))

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
        return await self._write(partial(alerts.keep_alert, alert=alert))

    async def alerts(self, limit: int) -> Sequence[AlertRecord]:
        """Every open alert, and of the others the newest; newest first."""
        return await self._read(partial(alerts.alerts, limit=limit))

    async def keep_version(self, version: VersionRecord) -> int:
        """Keep a configuration that came into effect; gives its id."""
        sealer = self._database.sealer
        return await self._write(partial(versions.keep_version, version=version, sealer=sealer))

    async def versions(self, limit: int) -> Sequence[VersionRecord]:
        """The newest configurations, newest first."""
        sealer = self._database.sealer
        return await self._read(partial(versions.versions, limit=limit, sealer=sealer))

    async def version(self, number: int) -> VersionRecord | None:
        """The configuration with this id."""
        sealer = self._database.sealer
        return await self._read(partial(versions.version, number=number, sealer=sealer))

    async def sizes(self) -> Mapping[str, int]:
        """Bytes of the database and, where that may be asked, of its log; of its disk nothing."""
        return await self._read(sizes.sizes)

    async def strain(self) -> Strain:
        """Who has kept the database longest from clearing away old rows."""
        return await self._read(partial(strain, course=self._course))

    async def _read(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        try:
            return await self._database.slow.run(work, _PAGE_SECONDS)
        except StoreBusy as error:
            raise StoreUnavailable(str(error)) from error

    async def _write(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Each of these is one statement."""
        try:
            return await self._database.hot.transact(work)
        except StoreBusy as error:
            raise StoreUnavailable(str(error)) from error

    async def _sum(self, total: _Sum[Result_co]) -> Result_co:
        while not await self._read(total.add):
            pass
        return total.result()
