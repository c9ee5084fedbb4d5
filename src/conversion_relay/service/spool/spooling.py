"""The store of a node that goes on taking events while its database does not.

`append` tries the database first; what it does not take is kept in the spool, and forwarded from
there. All else is the database's. After a failure nobody waits for the database's time-out: events
go to the spool at once until it takes some again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime

from conversion_relay.errors import StoreBusy, StoreUnavailable
from conversion_relay.service.spool.forwarding import Forwarding
from conversion_relay.service.spool.line import Line
from conversion_relay.service.spool.spool import Spool, SpoolStanding
from conversion_relay.service.spool.through import Through
from conversion_relay.service.store.port import Forgotten, Load, NewEvent, Receipt, Store
from conversion_relay.service.surroundings import Surroundings


class SpoolingStore(Through):
    """Implements the port `Store` over another store and a spool.

    Attributes:
        forwarding: empties the spool whenever that is possible, as long as it runs.
    """

    def __init__(self, store: Store, spool: Spool, around: Surroundings) -> None:
        super().__init__(store)
        self._spool = spool
        self._line = Line()
        self._around = around
        show = around.metrics.show_spool
        self.forwarding = Forwarding(store, spool, self._line, around, show)
        self.forwarding.wake()

    def spooled(self) -> SpoolStanding:
        """What waits in the spool now."""
        return self._spool.standing()

    def stands_in(self) -> str | None:
        """What is done with new events while the database takes none, if something is."""
        if self._spool.trouble is not None or not self._spool.has_room(1):
            return None
        waiting = self._spool.standing().events
        return f"New events are kept in the spool, where {waiting} wait."

    @property
    def refusal(self) -> str | None:
        """Why the database took no events last time; None once it did."""
        return self._line.reason

    @property
    def load(self) -> Load:
        """What waits to be written, here and there."""
        there = self._store.load
        return Load(
            there.waiting_events + self._spool.waiting_events,
            there.waiting_bytes + self._spool.waiting_bytes,
            there.commits,
        )

    def has_room(self, events: int, size_bytes: int) -> bool:
        """Whether an append of so much would be let in now, here or there."""
        there = self._line.reason is None and self._store.has_room(events, size_bytes)
        return there or self._spool.has_room(size_bytes)

    async def append(self, events: Sequence[NewEvent]) -> Receipt:
        """Keep the events, all or none.

        Of what goes to the spool the receipt says that it is new: the ledger is asked later.

        Raises:
            StoreUnavailable: neither the database nor the spool took them.
        """
        if self._line.lets_through():
            try:
                receipt = await self._store.append(events)
            except (StoreBusy, StoreUnavailable) as error:
                self._closed(str(error))
            else:
                self._opened()
                return receipt
        try:
            await self._spool.keep(events)
        except StoreUnavailable as error:
            raise StoreUnavailable(f"{self._line.reason}; {error}") from error
        finally:
            self.forwarding.wake()
        return Receipt(_first_of_each(events))

    async def remembered(
        self, source: str, subjects: Sequence[str], now: datetime
    ) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """By subject and destination, the match keys by kind; nobody waits for a lost database."""
        if self._line.reason is not None:
            raise StoreUnavailable(self._line.reason)
        return await self._store.remembered(source, subjects, now)

    async def forget(
        self, users: AbstractSet[str], source: str | None, now: datetime
    ) -> Forgotten:
        """Erase what is kept of users, once what waits here is in the database."""
        await self.forwarding.empty()
        return await self._store.forget(users, source, now)

    async def close(self) -> None:
        """Let go of both; what is in the spool stays there for the next start."""
        try:
            await self._store.close()
        finally:
            await self._spool.close()

    def _closed(self, reason: str) -> None:
        if self._line.fail(reason):
            self._around.log.warning("spool.database_refuses", reason=reason)

    def _opened(self) -> None:
        if self._line.open():
            self._around.log.info("spool.database_is_back")


def _first_of_each(events: Sequence[NewEvent]) -> tuple[bool, ...]:
    """For each event whether none before it in the same call has its key."""
    seen: set[tuple[str, str]] = set()
    fresh: list[bool] = []
    for event in events:
        key = event.source, event.message_id
        fresh.append(key not in seen)
        seen.add(key)
    return tuple(fresh)
