"""The memory of match keys: reads it once for some events, and says what is to be kept of it.

Only sources that opted in have one. A memory that cannot be read costs no event: the event goes
without it. Knows the store by its port, and no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.match_keys import Keys, Lesson, Memory, is_somebody, subjects_of
from conversion_relay.errors import StoreError
from conversion_relay.service.logs import Log
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Learned

Known: TypeAlias = Mapping[str, Mapping[str, Keys]]
Read: TypeAlias = Callable[[str, Sequence[str], datetime], Awaitable[Known]]

PATIENCE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Recall:
    """Reads what is remembered of the persons of some events.

    Attributes:
        read: gives it, by source and subjects, as it is at that moment.
        remembers_for: how long, of each source that opted in.
        clock: gives the present, aware.
        metrics: a memory that could not be read is counted there.
        log: and told there.
        patience_seconds: how long the events wait for it, at most.
    """

    read: Read
    remembers_for: Mapping[str, timedelta]
    clock: Callable[[], datetime]
    metrics: Metrics
    log: Log
    patience_seconds: float = PATIENCE_SECONDS

    async def of(
        self, source: str, elements: Sequence[Decoded | Unusable | None]
    ) -> Memory | None:
        """What is remembered of their persons; None for a source that did not opt in."""
        if source not in self.remembers_for:
            return None
        subjects = _subjects(elements)
        if not subjects:
            return Memory()
        try:
            async with asyncio.timeout(self.patience_seconds):
                return Memory(await self.read(source, subjects, self.clock()))
        except (StoreError, TimeoutError) as error:
            self.metrics.unremembered.labels(source).inc()
            kind = type(error).__name__
            self.log.warning("match_keys.not_read", source=source, kind=kind)
            return Memory()


def _subjects(elements: Iterable[Decoded | Unusable | None]) -> list[str]:
    """Each once, in their order."""
    found = (
        subject
        for element in elements
        if isinstance(element, Decoded)
        for subject in subjects_of(element.value)
    )
    return [subject for subject in dict.fromkeys(found) if is_somebody(subject)]


def learned_of(lessons: Iterable[Lesson], expires_at: datetime) -> tuple[Learned, ...]:
    """What is to be kept of what an event taught."""
    return tuple(Learned(one.destination, one.keys, expires_at) for one in lessons)
