"""What events teach of persons, merged over what is remembered, and how often it helped.

The same for every engine. Pure; knows no database. Match keys are sealed; whose they are stands
beside them as a hash.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from itertools import permutations
from typing import Final, NamedTuple, TypeAlias

import orjson

from conversion_relay.core.match_keys import is_somebody, merged
from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Packing, Sealer, binding
from conversion_relay.service.store.port import KeyCount, KeyCounted, NewEvent
from conversion_relay.service.store.subjects import Subjects
from conversion_relay.service.store.times import to_microseconds

COUNTS_KEPT: Final = timedelta(days=400)
"""How long it is known how often match keys helped."""
_FIRST_DAY: Final = date(1970, 1, 1)
Owner: TypeAlias = tuple[bytes, str, str]
"""The hash of a subject, a source, a destination."""
Bond: TypeAlias = tuple[bytes, str, bytes]
"""The hash of a subject, a source, that of another subject of the same event."""
Keys: TypeAlias = dict[str, str]


@dataclass(slots=True)
class Lesson:
    """What several events teach about one owner, one after the other."""

    told: list[Mapping[str, str]] = field(default_factory=list, repr=False)
    learned_at: int = 0
    expires_at: int = 0


@dataclass(frozen=True, slots=True)
class Taught:
    """What some events teach, times in microseconds.

    Attributes:
        lessons: by whom they are about.
        bonds: until when each lasts; it stands in both directions.
    """

    lessons: Mapping[Owner, Lesson]
    bonds: Mapping[Bond, int]

    @property
    def since(self) -> int:
        """What expired by then is not merged with; of what teaches nothing there is no time."""
        return min(lesson.learned_at for lesson in self.lessons.values())


class KeptKeys(NamedTuple):
    """The match keys of one owner, as they are kept."""

    subject: bytes
    source: str
    destination: str
    expires_at: int
    kinds: int
    sealed: bytes


class KeyTotal(NamedTuple):
    """How often a match key was counted on a day; of the rest see KeyCounted."""

    day: int
    destination: str
    key: str
    events: int
    before: int
    after: int


def taught(events: Iterable[NewEvent], subjects: Subjects) -> Taught:
    """What these teach, one after the other."""
    lessons: dict[Owner, Lesson] = defaultdict(Lesson)
    bonds: dict[Bond, int] = {}
    for event in (one for one in events if one.learned):
        hashes = [subjects.hash_of(one) for one in event.subjects if is_somebody(one)]
        for learned in event.learned:
            expires_at = to_microseconds(learned.expires_at)
            for hashed in hashes:
                lesson = lessons[hashed, event.source, learned.destination]
                lesson.told.append(learned.keys)
                lesson.learned_at = to_microseconds(event.received_at)
                lesson.expires_at = expires_at
            for one, other in permutations(hashes, 2):
                bonds[one, event.source, other] = expires_at
    return Taught(lessons, bonds)


def kept_keys(new: Taught, known: Mapping[Owner, Keys], sealer: Sealer) -> list[KeptKeys]:
    """What is remembered from now on, in the order of the owners."""
    rows: list[KeptKeys] = []
    for owner, lesson in sorted(new.lessons.items(), key=lambda pair: pair[0]):
        keys = reduce(merged, lesson.told, known.get(owner, {}))
        sealed = sealer.seal(orjson.dumps(keys), owner_context(owner), Packing.PLAIN)
        rows.append(KeptKeys(*owner, lesson.expires_at, len(keys), sealed))
    return rows


def opened(
    rows: Iterable[tuple[bytes, str, str, bytes]], sealer: Sealer
) -> Iterator[tuple[Owner, Keys]]:
    """What is remembered in rows of owner and sealed keys; a damaged one is as good as none."""
    for subject, source, destination, sealed in rows:
        owner = (subject, source, destination)
        with suppress(SealingError):
            yield owner, orjson.loads(sealer.open(sealed, owner_context(owner)))


def by_subject(
    found: Iterable[tuple[Owner, Keys]], subjects: Mapping[bytes, str]
) -> dict[str, dict[str, Keys]]:
    """By subject and destination, what is remembered; `subjects` by their hashes."""
    remembered: dict[str, dict[str, Keys]] = defaultdict(dict)
    for (hashed, _, destination), keys in found:
        remembered[subjects[hashed]][destination] = keys
    return dict(remembered)


def key_totals(found: Iterable[tuple[datetime, Sequence[KeyCount]]]) -> list[KeyTotal]:
    """Which match keys conversions carry, a row for each kind, in order.

    Most events share their counts with others as the very same object, so those are added up once.

    Args:
        found: when an event was received, with what is to be counted of it.
    """
    counted = [(at.astimezone(UTC).date(), counts) for at, counts in found if counts]
    shared = {id(counts): counts for _, counts in counted}
    often = Counter((day, id(counts)) for day, counts in counted)
    totals: dict[tuple[int, str, str], Counter[str]] = defaultdict(Counter)
    for (day, kind), times in often.items():
        for one in shared[kind]:
            place = (day_number(day), one.destination, one.key)
            before, after = times * one.before, times * one.after
            totals[place].update(events=times, before=before, after=after)
    return [
        KeyTotal(*place, total["events"], total["before"], total["after"])
        for place, total in sorted(totals.items())
    ]


def key_counted(total: KeyTotal) -> KeyCounted:
    """A row as the port gives it."""
    return KeyCounted(_FIRST_DAY + timedelta(days=total.day), *total[1:])


def day_number(day: date) -> int:
    """The day as it is kept."""
    return (day - _FIRST_DAY).days


def oldest_counted(now: datetime) -> int:
    """The first day of which counts are kept."""
    return day_number((now - COUNTS_KEPT).astimezone(UTC).date())


def owner_context(owner: Owner) -> bytes:
    """What the sealed match keys of somebody are bound to."""
    subject, source, destination = owner
    return binding("match keys", subject.hex(), source, destination)
