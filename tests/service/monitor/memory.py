"""A store in memory, of which only a history and a few figures are asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from typing_extensions import override

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.cluster import Cluster
from conversion_relay.service.store.history import AlertRecord, FlowCount, Strain, Waiting
from conversion_relay.service.store.values import Load
from support.past import Past

MINUTE = timedelta(minutes=1)


@dataclass
class Memory(Past):
    """A history in memory; calls can be made to fail or to hang by their names.

    Attributes:
        counted: by minute, measure and labels.
        records: of alerts, by id.
    """

    fails: set[str] = field(default_factory=set)
    hangs: set[str] = field(default_factory=set)
    counted: Counter[tuple[datetime, str, tuple[str, ...]]] = field(default_factory=Counter)
    records: dict[int, AlertRecord] = field(default_factory=dict)
    waits: Sequence[Waiting] = ()
    worn: Strain = field(default_factory=Strain)

    async def _meet(self, name: str) -> None:
        if name in self.hangs:
            await asyncio.Event().wait()
        if name in self.fails:
            raise StoreUnavailable("injected")

    @override
    async def add_flow(self, counts: Sequence[FlowCount]) -> None:
        await self._meet("add_flow")
        for one in counts:
            assert one.count > 0
            self.counted[one.minute, one.measure, one.labels] += one.count

    @override
    async def flow(self, since: datetime, until: datetime, step: timedelta) -> Sequence[FlowCount]:
        await self._meet("flow")
        assert step == MINUTE
        return [
            FlowCount(*cell, count)
            for cell, count in sorted(self.counted.items())
            if since <= cell[0] < until
        ]

    @override
    async def waiting(self) -> Sequence[Waiting]:
        await self._meet("waiting")
        return self.waits

    @override
    async def waiting_value(self, destination: str) -> Mapping[str, int]:
        await self._meet("waiting_value")
        return {"EUR": 59_900_000} if destination == "tiktok" else {}

    @override
    async def keep_alert(self, alert: AlertRecord) -> int:
        await self._meet("keep_alert")
        number = alert.id or self._open(alert) or len(self.records) + 1
        self.records[number] = replace(alert, id=number)
        return number

    def _open(self, alert: AlertRecord) -> int | None:
        """The number of the one that is open for the same: a new one takes its place."""
        if alert.resolved_at is not None:
            return None
        same = (alert.rule, alert.subject)
        return next(
            (
                number
                for number, one in self.records.items()
                if (one.rule, one.subject) == same and one.resolved_at is None
            ),
            None,
        )

    @override
    async def alerts(self, limit: int) -> Sequence[AlertRecord]:
        await self._meet("alerts")
        is_open = [one for one in self.records.values() if one.resolved_at is None]
        others = [one for one in self.records.values() if one.resolved_at is not None]
        return [*is_open, *others[::-1]][: max(limit, len(is_open))]

    @override
    async def strain(self) -> Strain:
        await self._meet("strain")
        return self.worn

    @override
    async def sizes(self) -> Mapping[str, int]:
        await self._meet("sizes")
        return {"database": 1, "log": 1, "disk_free": 600, "disk_size": 1_000}


@dataclass
class Kept:
    """A store of which nothing but this is asked."""

    history: Memory = field(default_factory=Memory)
    reason: str | None = None
    load: Load = field(default_factory=lambda: Load(3, 900, 1))
    cluster: Cluster | None = None

    def trouble(self) -> str | None:
        """Why nothing can be written."""
        return self.reason
