"""Looks at the service: everything of one moment, in one value. Judges nothing.

Knows the parts by ports, and waits for none of them longer than a few seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeVar

from conversion_relay.errors import StoreError
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.monitor.attendance import Attendance
from conversion_relay.service.monitor.course import added, seen
from conversion_relay.service.monitor.figures import (
    LaneFigures,
    RefusalFigures,
    Snapshot,
    SpoolFigures,
    StoreFigures,
    commits_of,
)
from conversion_relay.service.monitor.published import Published
from conversion_relay.service.monitor.questions import Question
from conversion_relay.service.store.history import Strain, Waiting
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings

_ANSWER_SECONDS: Final = 4.0
_Answer = TypeVar("_Answer")
_Other = TypeVar("_Other")


@dataclass(frozen=True, slots=True)
class Ports:
    """What is asked about the service, each time anew: a reload may change all of it.

    Attributes:
        store: and its history.
        lanes: of every destination that this process delivers to.
        sources: the configured ones.
        canaries: how they fare, by destination, if this process sends them.
        refusal: of a changed configuration, if there is one.
        destinations: the configured ones.
        spool: what waits on the process's own disk.
    """

    store: Store
    lanes: Callable[[], Mapping[str, LaneFigures]]
    sources: Callable[[], frozenset[str]]
    canaries: Callable[[], Mapping[str, CanaryStanding]]
    refusal: Callable[[], RefusalFigures | None]
    destinations: Callable[[], Collection[str]] = frozenset
    spool: Callable[[datetime], SpoolFigures] = lambda _: SpoolFigures()


@dataclass(slots=True)
class Gathering:
    """Takes snapshots.

    Attributes:
        ports: what is asked.
        around: time and counters.
        attendance: the other nodes.
    """

    ports: Ports
    around: Surroundings
    attendance: Attendance
    _waiting: Question[Sequence[Waiting] | None] = field(init=False)
    _sizes: Question[Mapping[str, int]] = field(init=False)
    _strain: Question[Strain] = field(init=False)

    def __post_init__(self) -> None:
        """Prepares the questions."""
        history, sleep = self.ports.store.history, self.around.sleep
        self._waiting = Question(history.waiting, sleep)
        self._sizes = Question(history.sizes, sleep)
        self._strain = Question(history.strain, sleep)

    async def snapshot(self) -> Snapshot:
        """The flow now, of all nodes; what does not answer is left out."""
        unread: list[str] = []
        waiting, sizes, strain = await asyncio.gather(
            _or_else(self._waiting, unread, None),
            _or_else(self._sizes, unread, {}),
            _or_else(self._strain, unread, Strain()),
        )
        ports, attendance, now = self.ports, self.attendance, self.around.clock()
        return Snapshot(
            at=now,
            sources=ports.sources(),
            lanes=attendance.lanes(ports.lanes(), ports.destinations()),
            waiting=waiting,
            store=replace(
                self._store(),
                unread=next(iter(unread), None),
                sizes=sizes,
                strain=strain,
            ),
            counters=self.around.metrics.readings(),
            canaries=attendance.canaries(ports.canaries()),
            refusal=attendance.refusal(ports.refusal()),
            company=attendance.company,
            spool=ports.spool(now),
        )

    def published(self) -> Published:
        """What this node tells the others of itself."""
        ports, store, now = self.ports, self._store(), self.around.clock()
        return Published(
            counts=added(seen(self.around.metrics.readings()), commits_of(store)),
            lanes=ports.lanes(),
            canaries=ports.canaries(),
            refusal=ports.refusal(),
            spool=ports.spool(now),
            waiting_events=store.waiting_events or 0,
        )

    def drop(self) -> None:
        """Wait for no answer any more."""
        for question in (self._waiting, self._sizes, self._strain):
            question.drop()

    def _store(self) -> StoreFigures:
        """What is known of it without asking it."""
        store = self.ports.store
        written = self.around.metrics.commit_seconds
        return StoreFigures(
            trouble=store.trouble(),
            waiting_events=store.load.waiting_events,
            waiting_bytes=store.load.waiting_bytes,
            commits=written.count,
            commit_seconds=written.seconds,
        )


async def _or_else(
    question: Question[_Answer], unread: list[str], without: _Other
) -> _Answer | _Other:
    """The answer; without one, why there is none is added."""
    try:
        return await question.answer(_ANSWER_SECONDS)
    except StoreError as error:
        unread.append(str(error))
        return without
