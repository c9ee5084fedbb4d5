"""What is remembered of persons: their match keys, and how often these helped. Knows no thread.

Merging happens inside the transaction that keeps the events which taught them, after whatever else
that does: what was forgotten a moment ago must not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, cast

import apsw
import orjson

from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.lessons import (
    Keys,
    KeyTotal,
    Owner,
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
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.subjects import Subjects
from conversion_relay.service.store.times import to_microseconds

_EXPIRED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Memory:
    """Remembers match keys in one database.

    Attributes:
        subjects: hashes the ids of persons.
        first_event: events from here on are kept with their hashes.
        sealer: of match keys.
    """

    subjects: Subjects
    first_event: int
    sealer: Sealer

    def learn(self, connection: apsw.Connection, events: Iterable[NewEvent]) -> None:
        """Merge what these events teach over what is remembered, inside a transaction."""
        new = taught(events, self.subjects)
        if not new.lessons:
            return
        hashes = {hashed for hashed, _, _ in new.lessons}
        known = dict(self._read(connection, hashes, None, new.since))
        for row in kept_keys(new, known, self.sealer):
            connection.execute(QUERIES["keep_match_keys"], row._asdict())
        for (subject, source, other), expires_at in new.bonds.items():
            given = {"subject": subject, "source": source, "other": other}
            connection.execute(QUERIES["keep_bond"], {**given, "expires_at": expires_at})

    def remembered(
        self, connection: apsw.Connection, source: str, subjects: Sequence[str], now: datetime
    ) -> dict[str, dict[str, Keys]]:
        """By subject and destination, what is remembered and has not expired."""
        by_hash = {self.subjects.hash_of(subject): subject for subject in subjects}
        found = self._read(connection, by_hash, source, to_microseconds(now))
        return by_subject(found, by_hash)

    def forgettable(
        self, connection: apsw.Connection, users: Iterable[str], source: str | None, now: datetime
    ) -> Forgotten:
        """What `forget` would erase, without what expired."""
        given = {**self._whose(users, source), "now": to_microseconds(now)}
        return Forgotten(match_keys=connection.execute(QUERIES["forgettable_keys"], given).get)

    def forget(
        self, connection: apsw.Connection, users: Iterable[str], source: str | None, now: datetime
    ) -> Forgotten:
        """Erase what is remembered of users, and what was learned together with it."""
        given = self._whose(users, source)
        found = {**given, "now": to_microseconds(now)}
        forgotten = Forgotten(
            match_keys=connection.execute(QUERIES["forgettable_keys"], found).get
        )
        for query in ("forget_match_keys", "bonds_back", "forget_bonds"):
            connection.execute(QUERIES[query], given)
        return forgotten

    def _whose(self, users: Iterable[str], source: str | None) -> dict[str, str | None]:
        hashes = [self.subjects.hash_of(user).hex() for user in users]
        return {"subjects": orjson.dumps(hashes).decode(), "source": source}

    def _read(
        self, connection: apsw.Connection, hashes: Iterable[bytes], source: str | None, now: int
    ) -> Iterator[tuple[Owner, Keys]]:
        asked = orjson.dumps([hashed.hex() for hashed in hashes]).decode()
        given = {"subjects": asked, "source": source, "now": now}
        rows = connection.execute(QUERIES["match_keys_of"], given).fetchall()
        found = (
            (bytes.fromhex(hexadecimal), str(names[0]), str(names[1]), sealed)
            for hexadecimal, *names, sealed in cast("list[tuple[str, str, str, bytes]]", rows)
        )
        return opened(found, self.sealer)


def count(
    connection: apsw.Connection, found: Iterable[tuple[datetime, Sequence[KeyCount]]]
) -> None:
    """Add up which match keys conversions carry, inside a transaction: a row for each kind."""
    for total in key_totals(found):
        connection.execute(QUERIES["count_match_key"], total._asdict())


def key_report(connection: apsw.Connection, since: date, until: date) -> tuple[KeyCounted, ...]:
    """What was counted on these days, both included."""
    asked = {"since": day_number(since), "until": day_number(until)}
    found: str = connection.execute(QUERIES["match_key_counts"], asked).get
    return tuple(key_counted(KeyTotal(*row)) for row in orjson.loads(found))


def expire(connection: apsw.Connection, now: datetime) -> Swept:
    """One short step: some match keys that expired go, and the counts of long ago."""
    given = {"now": to_microseconds(now), "limit": _EXPIRED_AT_ONCE}
    gone: list[int] = []
    for query in ("expire_match_keys", "expire_bonds"):
        connection.execute(QUERIES[query], given)
        gone.append(connection.changes())
    connection.execute(QUERIES["expire_counts"], {"day": oldest_counted(now)})
    return Swept(is_done=max(gone) < _EXPIRED_AT_ONCE)
