"""Erasing users: for an operator, and for Segment's `delete` events.

Knows the store by its port. Whom is said by nobody: neither the log nor an answer repeats an id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.match_keys import is_placeholder, subjects_of
from conversion_relay.core.values import JsonObject
from conversion_relay.errors import StoreError
from conversion_relay.service.http import refusals
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.sources import Source
from conversion_relay.service.logs import Log, fault
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.store.port import Forgotten, Store

_DELETE: Final = "delete"
_IDS: Final = ("userId", "anonymousId")
_PATIENCE_SECONDS: Final = 4.0
"""Segment hangs up after 5."""
_MOST_WAITING: Final = 10_000
_NOBODY: Final = "an id such as null, 0 or undefined is nobody's: all who have it would be erased"


@dataclass(frozen=True, slots=True)
class _Round:
    """Users of one source who are erased together.

    Attributes:
        users: grows until the round begins.
        ended: whether everything was erased.
    """

    ended: asyncio.Future[bool]
    users: set[str] = field(default_factory=set, repr=False)


@dataclass(slots=True)
class Erasure:
    """Has the store forget users.

    One round after the other for each source: whoever is named meanwhile goes into the next one,
    all at once, because looking for many costs little more than looking for one.

    Attributes:
        store: where everything is kept.
        clock: gives the present, aware.
        metrics: who was forgotten is counted there, and why.
        log: what was erased is told there, in numbers.
        patience_seconds: how long a `delete` event waits for its answer.
    """

    store: Store
    clock: Callable[[], datetime]
    metrics: Metrics
    log: Log
    patience_seconds: float = _PATIENCE_SECONDS
    _next: dict[str, _Round] = field(default_factory=dict)
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def ask(self, user: str, source: str | None) -> Forgotten:
        """What was erased for an operator.

        Raises:
            StoreError: not everything was.
        """
        return await self._forget(frozenset((user,)), source, "operator")

    async def count(self, user: str, source: str | None) -> Forgotten:
        """What would be."""
        return await self.store.forgettable(frozenset((user,)), source, self.clock())

    async def obey(self, source: Source, users: AbstractSet[str]) -> Problem | None:
        """Forgets whom `delete` events name; why that is not done yet, or None.

        What takes too long goes on after the answer, and the same events ask for it again.

        Not where everybody may post: anybody could erase what is kept of anybody.
        """
        if source.credentials.open_to_all or not users:
            return None
        somebody = {user for user in users if not is_placeholder(user)}
        if somebody != users:
            self.log.warning("user.not_somebody", source=source.name, reason=_NOBODY)
        return await self._in_time(source.name, somebody) if somebody else None

    async def _in_time(self, source: str, users: AbstractSet[str]) -> Problem | None:
        ended = self._join(source, users)
        if ended is not None:
            await asyncio.wait({ended}, timeout=self.patience_seconds)
        is_done = ended is not None and ended.done() and ended.result()
        return None if is_done else refusals.not_erased()

    def _join(self, source: str, users: AbstractSet[str]) -> asyncio.Future[bool] | None:
        """Says when the source's next round has ended; None if that round is full."""
        loop = asyncio.get_running_loop()
        following = self._next.setdefault(source, _Round(loop.create_future()))
        if following.users and len(following.users | users) > _MOST_WAITING:
            return None
        following.users.update(users)
        if source not in self._running:
            self._running[source] = loop.create_task(self._run(source))
        return following.ended

    async def _run(self, source: str) -> None:
        try:
            while (now := self._next.pop(source, None)) is not None:
                now.ended.set_result(await self._is_erased(source, now.users))
        finally:
            del self._running[source]

    async def _is_erased(self, source: str, users: AbstractSet[str]) -> bool:
        try:
            await self._forget(users, source, "event")
        except StoreError as error:
            self.log.error("user.not_forgotten", source=source, reason=str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the rounds
            self.log.error("user.not_forgotten", source=source, **fault(error))
        else:
            return True
        return False

    async def _forget(self, users: AbstractSet[str], source: str | None, by: str) -> Forgotten:
        forgotten = await self.store.forget(users, source, self.clock())
        self.metrics.forgotten.labels(by).inc(len(users))
        self.log.info(
            "user.forgotten",
            by=by,
            source=source,
            users=len(users),
            events=forgotten.events,
            originals=forgotten.originals,
            deliveries=sum(forgotten.deliveries.values()),
            match_keys=forgotten.match_keys,
            in_flight=forgotten.in_flight,
        )
        return forgotten


def named_by(element: Decoded | Unusable) -> tuple[str, ...]:
    """The ids a `delete` event names; none of anything else."""
    value = element.value if isinstance(element, Decoded) else None
    if not isinstance(value, dict) or value.get("type") != _DELETE:
        return ()
    named: JsonObject = {key: value[key] for key in _IDS if key in value}
    return subjects_of(named)
