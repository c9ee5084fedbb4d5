"""Looks at the service: everything of one moment, in one value. Judges nothing.

Knows the parts by ports, and waits for none of them longer than a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from conversion_relay.errors import StoreError
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.monitor.figures import (
    LaneFigures,
    RefusalFigures,
    Snapshot,
    StoreFigures,
)
from conversion_relay.service.monitor.questions import Question
from conversion_relay.service.store.history import Waiting
from conversion_relay.service.store.port import Store
from conversion_relay.service.surroundings import Surroundings

_ANSWER_SECONDS: Final = 4.0
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Ports:
    """What is asked about the service, each time anew: a reload may change all of it.

    Attributes:
        store: and its history.
        lanes: of every destination.
        sources: the configured ones.
        canaries: how they fare, by destination.
        refusal: of a changed configuration, if there is one.
    """

    store: Store
    lanes: Callable[[], Mapping[str, LaneFigures]]
    sources: Callable[[], frozenset[str]]
    canaries: Callable[[], Mapping[str, CanaryStanding]]
    refusal: Callable[[], RefusalFigures | None]


@dataclass(slots=True)
class Gathering:
    """Takes snapshots.

    Attributes:
        ports: what is asked.
        around: time and counters.
    """

    ports: Ports
    around: Surroundings
    _waiting: Question[Sequence[Waiting]] = field(init=False)
    _sizes: Question[Mapping[str, int]] = field(init=False)

    def __post_init__(self) -> None:
        """Prepares the questions."""
        history, sleep = self.ports.store.history, self.around.sleep
        self._waiting = Question(history.waiting, sleep)
        self._sizes = Question(history.sizes, sleep)

    async def snapshot(self) -> Snapshot:
        """The service now; what does not answer is left out."""
        unread: list[str] = []
        waiting = await _or_none(self._waiting, unread)
        sizes = await _or_none(self._sizes, unread)
        ports = self.ports
        return Snapshot(
            at=self.around.clock(),
            sources=ports.sources(),
            lanes=ports.lanes(),
            waiting=waiting,
            store=self._store(sizes or {}, next(iter(unread), None)),
            counters=self.around.metrics.readings(),
            canaries=ports.canaries(),
            refusal=ports.refusal(),
        )

    def drop(self) -> None:
        """Wait for no answer any more."""
        self._waiting.drop()
        self._sizes.drop()

    def _store(self, sizes: Mapping[str, int], unread: str | None) -> StoreFigures:
        store = self.ports.store
        written = self.around.metrics.commit_seconds
        return StoreFigures(
            trouble=store.trouble(),
            unread=unread,
            waiting_events=store.load.waiting_events,
            waiting_bytes=store.load.waiting_bytes,
            commits=written.count,
            commit_seconds=written.seconds,
            sizes=sizes,
        )


async def _or_none(question: Question[_Answer], unread: list[str]) -> _Answer | None:
    """The answer; without one, why there is none is added."""
    try:
        return await question.answer(_ANSWER_SECONDS)
    except StoreError as error:
        unread.append(str(error))
        return None
