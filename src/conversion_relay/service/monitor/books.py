"""What the monitor writes down: counts by the minute, and alerts. In memory while it cannot.

One task at a time writes, and nobody has to wait for it: a disk that hangs stops no rule.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from conversion_relay.errors import StoreError
from conversion_relay.service.alerting.alert import Alert
from conversion_relay.service.metrics import Reading
from conversion_relay.service.monitor.course import Counts, minute_of
from conversion_relay.service.monitor.learning import WATCHED
from conversion_relay.service.monitor.records import record_of
from conversion_relay.service.store.history import FlowCount, History
from conversion_relay.service.surroundings import Surroundings

_MOST_COUNTS: Final = 100_000
_Cell: TypeAlias = tuple[datetime, Reading]
_Name: TypeAlias = tuple[str, str, datetime]
"""Rule, subject and opening of an alert: which one it is before it has an id."""


@dataclass(slots=True)
class Books:
    """What is to be written.

    Attributes:
        history: where.
        around: time and log.
        most_counts: beyond this many, the oldest minutes are given up.
    """

    history: History
    around: Surroundings
    most_counts: int = _MOST_COUNTS
    _counts: Counter[_Cell] = field(default_factory=Counter)
    _alerts: dict[_Name, Alert] = field(default_factory=dict)
    _ids: dict[_Name, int] = field(default_factory=dict)
    _writing: asyncio.Task[None] | None = None
    _fails: bool = False

    def count(self, grown: Counts, at: datetime) -> None:
        """Add what was counted around that time."""
        minute = minute_of(at)
        self._counts[minute, (WATCHED, ())] = 1
        for reading, count in grown.items():
            self._counts[minute, reading] += int(count)
        if len(self._counts) > self.most_counts:
            self._give_up_the_oldest()

    def keep(self, alert: Alert) -> None:
        """Have this form of the alert written down."""
        self._alerts[_name(alert)] = alert

    def hand_over(self) -> None:
        """Another node has the alerts now: only those are still written that it cannot know."""
        self._alerts = {
            name: alert
            for name, alert in self._alerts.items()
            if name not in self._ids and not alert.id
        }
        self._ids.clear()

    def numbered(self, alert: Alert) -> Alert:
        """The alert with the id under which it is kept, if it is."""
        return replace(alert, id=self._ids.get(_name(alert), alert.id))

    def write(self) -> asyncio.Task[None] | None:
        """Begin to write what is complete, unless that goes on already; gives the task if any."""
        is_idle = self._writing is None or self._writing.done()
        if is_idle and (self._alerts or self._complete()):
            self._writing = asyncio.create_task(self._write())
        return self._writing

    async def close(self, seconds: float) -> None:
        """Write everything, as far as that takes no longer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if self._writing is not None:
                    await asyncio.wait((self._writing,))
                await self._try(self._counts.copy())

    async def _write(self) -> None:
        await self._try(self._complete())

    async def _try(self, counts: Counter[_Cell]) -> None:
        try:
            await self._write_alerts()
            await self._write_counts(counts)
        except StoreError as error:
            if not self._fails:
                self.around.log.warning("monitor.not_kept", reason=str(error))
            self._fails = True
        else:
            self._fails = False

    async def _write_alerts(self) -> None:
        while self._alerts:
            name, alert = next(iter(self._alerts.items()))
            number = await self.history.keep_alert(record_of(self.numbered(alert)))
            if alert.resolved_at is None:
                self._ids[name] = number
            else:
                self._ids.pop(name, None)
            if self._alerts.get(name) is alert:  # it may have changed meanwhile
                del self._alerts[name]

    async def _write_counts(self, counts: Counter[_Cell]) -> None:
        if not counts:
            return
        rows = [FlowCount(minute, *reading, count) for (minute, reading), count in counts.items()]
        await self.history.add_flow(rows)
        self._counts -= counts

    def _complete(self) -> Counter[_Cell]:
        """The counts of minutes that are over."""
        minute = minute_of(self.around.clock())
        return Counter({cell: count for cell, count in self._counts.items() if cell[0] != minute})

    def _give_up_the_oldest(self) -> None:
        oldest = min(minute for minute, _ in self._counts)
        for cell in [cell for cell in self._counts if cell[0] == oldest]:
            del self._counts[cell]
        self.around.log.error("monitor.counts_lost", minute=oldest.isoformat())


def _name(alert: Alert) -> _Name:
    return alert.finding.rule, alert.finding.subject, alert.opened_at
