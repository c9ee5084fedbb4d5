"""What is remembered of persons: their match keys, and how often these helped.

Merging happens inside the transaction that keeps the events which taught them. Whoever merges
holds the rows of all whom it is about: what another node learns of them at the same moment is
merged before or after, and what was forgotten does not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from conversion_relay.errors import SealingError
from conversion_relay.service.store.lessons import (
    KeyTotal,
    Taught,
    by_subject,
    day_number,
    kept_keys,
    key_counted,
    key_totals,
    oldest_counted,
    opened,
    taught,
)
from conversion_relay.service.store.port import Forgotten, KeyCount, KeyCounted, NewEvent, Swept
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import optionally_kept
from conversion_relay.service.store.subjects import UNTOLD, Subjects
from conversion_relay.service.store.times import to_microseconds

SUBJECT_KEY_LOCK: Final = 0x52454C4159_10
_OPEN_SECONDS: Final = 600.0
"""Only where the key of the hashes is lost does it take longer than a moment."""
_EXPIRED_AT_ONCE: Final = 500
_FOLDED_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Memory:
    """Remembers match keys in one database, for all nodes.

    Attributes:
        database: where they are kept.
        subjects: hashes the ids of persons; the same on all nodes.
    """

    database: Database
    subjects: Subjects

    def marks(self, events: Iterable[NewEvent]) -> bytes | None:
        """Whose the events of a chunk are, as it is kept; None when there is nobody at all."""
        return self.subjects.marks(events)

    async def learn(self, connection: Connection, events: Iterable[NewEvent]) -> None:
        """Merge what these events teach over what is remembered, last inside a transaction."""
        new = taught(events, self.subjects)
        if not new.lessons:
            return
        owners = list(zip(*sorted(new.lessons), strict=True))
        await connection.execute(QUERIES["lock_owners"], *owners)
        found = await connection.fetch(QUERIES["match_keys_of_owners"], *owners, new.since)
        known = dict(opened((tuple(row) for row in found), self.database.sealer))
        rows = kept_keys(new, known, self.database.sealer)
        await connection.execute(QUERIES["keep_match_keys"], *zip(*rows, strict=True))
        await _keep_bonds(connection, new)

    async def count(
        self,
        connection: Connection,
        counted: Iterable[tuple[datetime, Sequence[KeyCount]]],
    ) -> None:
        """Keep which match keys conversions carry, inside a transaction.

        Args:
            connection: of the transaction.
            counted: when an event was received, with what is to be counted of it.
        """
        totals = key_totals(counted)
        if totals:
            await connection.execute(QUERIES["count_match_keys"], *zip(*totals, strict=True))

    async def remembered(
        self, source: str, subjects: Sequence[str], now: datetime
    ) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """By subject and destination, what is remembered and has not expired."""
        by_hash = {self.subjects.hash_of(subject): subject for subject in subjects}
        asked = (list(by_hash), source, to_microseconds(now))
        rows = await self.database.hot.run(lambda one: one.fetch(QUERIES["match_keys_of"], *asked))
        found = opened((tuple(row) for row in rows), self.database.sealer)
        return by_subject(found, by_hash)

    async def forgettable(
        self, users: Iterable[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What `forget` would erase, without what expired."""
        asked = (self._hashes(users), optionally_kept(source), to_microseconds(now))
        found = await self.database.slow.run(
            lambda one: one.fetchval(QUERIES["forgettable_keys"], *asked)
        )
        return Forgotten(match_keys=found)

    async def forget(self, users: Iterable[str], source: str | None, now: datetime) -> Forgotten:
        """Erase what is remembered of users, and what was learned together with it."""
        whose = (self._hashes(users), optionally_kept(source))

        async def work(connection: Connection) -> Forgotten:
            await connection.fetch(QUERIES["lock_forgotten_keys"], *whose)
            given = (*whose, to_microseconds(now))
            kinds = await connection.fetchval(QUERIES["forget_match_keys"], *given)
            await connection.fetch(QUERIES["lock_forgotten_bonds"], *whose)
            await connection.execute(QUERIES["forget_bonds"], *whose)
            return Forgotten(match_keys=kinds)

        return await self.database.slow.transact(work)

    async def key_report(self, since_day: date, until_day: date) -> Sequence[KeyCounted]:
        """What was counted on these days, both included, oldest day first."""
        asked = (day_number(since_day), day_number(until_day))
        rows = await self.database.slow.run(
            lambda one: one.fetch(QUERIES["match_key_counts"], *asked)
        )
        return tuple(key_counted(KeyTotal(*row)) for row in rows)

    async def expire(self, now: datetime) -> Swept:
        """One short step: some match keys that expired go, counts are added up, old ones go."""
        asked = (to_microseconds(now), _EXPIRED_AT_ONCE)

        async def work(connection: Connection) -> Swept:
            keys = await connection.fetchval(QUERIES["expire_match_keys"], *asked)
            bonds = await connection.fetchval(QUERIES["expire_bonds"], *asked)
            await connection.execute(QUERIES["expire_key_counts"], oldest_counted(now))
            folded = await connection.fetchval(QUERIES["fold_match_key_counts"], _FOLDED_AT_ONCE)
            is_done = max(keys, bonds) < _EXPIRED_AT_ONCE and folded < _FOLDED_AT_ONCE
            return Swept(is_done=is_done)

        return await self.database.slow.transact(work)

    def _hashes(self, users: Iterable[str]) -> list[bytes]:
        return [self.subjects.hash_of(user) for user in users]


async def open_memory(database: Database) -> Memory:
    """The memory in that database, with the one key of its hashes, made by whoever comes first.

    The key is sealed anew with the one that seals now, so that no older one is needed for it. One
    that cannot be opened is replaced: match keys go, and of events that were kept with it only
    their originals tell whose they are.
    """

    async def work(connection: Connection) -> Subjects:
        await connection.execute(QUERIES["lock_subject_key"], SUBJECT_KEY_LOCK)
        sealed = await connection.fetchval(QUERIES["subject_key"])
        subjects = await _opened(connection, database, sealed)
        if sealed is None or not database.sealer.sealed_now(sealed):
            given = subjects.sealed(database.sealer)
            await connection.execute(QUERIES["keep_subject_key"], given)
        return subjects

    return Memory(database, await database.slow.transact(work, _OPEN_SECONDS))


async def _opened(connection: Connection, database: Database, sealed: bytes | None) -> Subjects:
    if sealed is None:
        return Subjects.drawn()
    try:
        return Subjects.opened(sealed, database.sealer)
    except SealingError:  # nothing else needs that key any more, or it would have been refused
        await connection.execute(QUERIES["forget_all_match_keys"])
        await connection.execute(QUERIES["untell_subjects"], UNTOLD.hex())
        return Subjects.drawn()


async def _keep_bonds(connection: Connection, new: Taught) -> None:
    if new.bonds:
        rows = [(*bond, expires_at) for bond, expires_at in new.bonds.items()]
        await connection.execute(QUERIES["keep_bonds"], *zip(*rows, strict=True))
