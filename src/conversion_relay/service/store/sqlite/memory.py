"""What is remembered of persons: their match keys, and how often these helped. Knows no thread.

Match keys are sealed; whose they are stands beside them as a hash. Merging happens inside the
transaction that keeps the events which taught them, after whatever else that does: what was
forgotten a moment ago must not come back.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from itertools import permutations
from typing import Final, TypeAlias, cast

import apsw
import orjson

from conversion_relay.core.match_keys import is_somebody, merged
from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Packing, Sealer, binding
from conversion_relay.service.store.port import Forgotten, KeyCount, KeyCounted, NewEvent, Swept
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.subjects import Subjects
from conversion_relay.service.store.sqlite.times import to_microseconds

_EXPIRED_AT_ONCE: Final = 500
_COUNTS_KEPT: Final = timedelta(days=400)
_FIRST_DAY: Final = date(1970, 1, 1)
Owner: TypeAlias = tuple[bytes, str, str]  # hash of the subject, source, destination
Keys: TypeAlias = dict[str, str]


@dataclass(slots=True)
class Lesson:
    """What several events teach about one owner, one after the other."""

    told: list[Mapping[str, str]] = field(default_factory=list, repr=False)
    learned_at: int = 0
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """Remembers match keys in one database.

    Attributes:
        subjects: hashes the ids of persons.
        sealer: of match keys.
    """

    subjects: Subjects
    sealer: Sealer

    def learn(self, connection: apsw.Connection, events: Iterable[NewEvent]) -> None:
        """Merge what these events teach over what is remembered, inside a transaction."""
        lessons, bonds = self._lessons(event for event in events if event.learned)
        if not lessons:
            return
        known = self._known(connection, lessons)
        for owner, lesson in lessons.items():
            keys = reduce(merged, lesson.told, known.get(owner, {}))
            self._keep(connection, owner, keys, lesson.expires_at)
        for (subject, source, other), expires_at in bonds.items():
            given = {"subject": subject, "source": source, "other": other}
            connection.execute(QUERIES["keep_bond"], {**given, "expires_at": expires_at})

    def remembered(
        self, connection: apsw.Connection, source: str, subjects: Sequence[str], now: datetime
    ) -> dict[str, dict[str, Keys]]:
        """By subject and destination, what is remembered and has not expired."""
        by_hash = {self.subjects.hash_of(subject): subject for subject in subjects}
        found: dict[str, dict[str, Keys]] = defaultdict(dict)
        for (hashed, _, destination), keys in self._read(
            connection, by_hash, source, to_microseconds(now)
        ):
            found[by_hash[hashed]][destination] = keys
        return dict(found)

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

    def _lessons(
        self, events: Iterable[NewEvent]
    ) -> tuple[dict[Owner, Lesson], dict[tuple[bytes, str, bytes], int]]:
        lessons: dict[Owner, Lesson] = defaultdict(Lesson)
        bonds: dict[tuple[bytes, str, bytes], int] = {}
        for event in events:
            about = [subject for subject in event.subjects if is_somebody(subject)]
            hashes = [self.subjects.hash_of(subject) for subject in about]
            for learned in event.learned:
                expires_at = to_microseconds(learned.expires_at)
                for hashed in hashes:
                    lesson = lessons[hashed, event.source, learned.destination]
                    lesson.told.append(learned.keys)
                    lesson.learned_at = to_microseconds(event.received_at)
                    lesson.expires_at = expires_at
                for one, other in permutations(hashes, 2):
                    bonds[one, event.source, other] = expires_at
        return lessons, bonds

    def _known(
        self, connection: apsw.Connection, lessons: Mapping[Owner, Lesson]
    ) -> dict[Owner, Keys]:
        """What is remembered of these already; what expired before the lesson is not."""
        earliest = min(lesson.learned_at for lesson in lessons.values())
        hashes = {hashed for hashed, _, _ in lessons}
        return dict(self._read(connection, hashes, None, earliest))

    def _read(
        self, connection: apsw.Connection, hashes: Iterable[bytes], source: str | None, now: int
    ) -> Iterator[tuple[Owner, Keys]]:
        """A value that is damaged is as good as none."""
        asked = orjson.dumps([hashed.hex() for hashed in hashes]).decode()
        given = {"subjects": asked, "source": source, "now": now}
        rows = connection.execute(QUERIES["match_keys_of"], given).fetchall()
        for hexadecimal, *names, sealed in cast("list[tuple[str, str, str, bytes]]", rows):
            owner = (bytes.fromhex(hexadecimal), str(names[0]), str(names[1]))
            with suppress(SealingError):
                yield owner, orjson.loads(self.sealer.open(sealed, _context(owner)))

    def _keep(
        self, connection: apsw.Connection, owner: Owner, keys: Keys, expires_at: int
    ) -> None:
        subject, source, destination = owner
        plain = orjson.dumps(keys)
        given = {
            "subject": subject,
            "source": source,
            "destination": destination,
            "expires_at": expires_at,
            "kinds": len(keys),
            "sealed": self.sealer.seal(plain, _context(owner), Packing.PLAIN),
        }
        connection.execute(QUERIES["keep_match_keys"], given)


def count(
    connection: apsw.Connection, found: Sequence[tuple[datetime, Sequence[KeyCount]]]
) -> None:
    """Add up which match keys conversions carry, inside a transaction: a row for each kind.

    Most events share their counts with others as the very same object, so those are added up once.

    Args:
        connection: the one that writes.
        found: when an event was received, with what is to be counted of it.
    """
    shared = {id(counts): counts for _, counts in found}
    often = Counter((at.astimezone(UTC).date(), id(counts)) for at, counts in found if counts)
    totals: dict[tuple[int, str, str], Counter[str]] = defaultdict(Counter)
    for (day, kind), times in often.items():
        for one in shared[kind]:
            place = (_day(day), one.destination, one.key)
            before, after = times * one.before, times * one.after
            totals[place].update(events=times, before=before, after=after)
    for (number, destination, key), total in totals.items():
        given = {"day": number, "destination": destination, "key": key, **total}
        connection.execute(QUERIES["count_match_key"], given)


def key_report(connection: apsw.Connection, since: date, until: date) -> tuple[KeyCounted, ...]:
    """What was counted on these days, both included."""
    asked = {"since": _day(since), "until": _day(until)}
    found: str = connection.execute(QUERIES["match_key_counts"], asked).get
    return tuple(
        KeyCounted(_FIRST_DAY + timedelta(days=day), *rest) for day, *rest in orjson.loads(found)
    )


def expire(connection: apsw.Connection, now: datetime) -> Swept:
    """One short step: some match keys that expired go, and the counts of long ago."""
    given = {"now": to_microseconds(now), "limit": _EXPIRED_AT_ONCE}
    gone: list[int] = []
    for query in ("expire_match_keys", "expire_bonds"):
        connection.execute(QUERIES[query], given)
        gone.append(connection.changes())
    oldest = _day((now - _COUNTS_KEPT).astimezone(UTC).date())
    connection.execute(QUERIES["expire_counts"], {"day": oldest})
    return Swept(is_done=max(gone) < _EXPIRED_AT_ONCE)


def _day(day: date) -> int:
    return (day - _FIRST_DAY).days


def _context(owner: Owner) -> bytes:
    subject, source, destination = owner
    return binding("match keys", subject.hex(), source, destination)
