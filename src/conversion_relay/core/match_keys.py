"""Match keys: what an event tells of a person, for later events of that person which lack it.

A key is remembered for a subject (a userId or anonymousId) as the destination would send it. Two
people are never mixed: where what is known of a device contradicts what is known of the person,
the device's memory is not used. Knows no store, no clock and no secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from conversion_relay.core.destination import Destination, Field, FieldProblem
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject, number_text

EMAIL: Final = "email"
PHONE: Final = "phone"
EXTERNAL_ID: Final = "external_id"
KINDS: Final = (EMAIL, PHONE, EXTERNAL_ID)
MAX_SUBJECT_CHARACTERS: Final = 256
"""An id that is longer is nobody's; so is a trait of more than twice that."""

NOBODY: Final = frozenset({
    "-1", "null", "(null)", "none", "nil", "nan", "undefined", "unknown", "n/a", "na",
    "false", "true", "anonymous", "guest", "user", "test", "[object object]", "not set",
    "(not set)",
})  # fmt: skip
"""What faulty pages send in place of an id: it would make one person of all their visitors."""

Keys: TypeAlias = Mapping[str, str]
"""By kind, in the form in which the destination would send them."""

_FILLED: Final = "is filled in from an earlier identify of the same person"
_SUBJECTS: Final = ("userId", "anonymousId", "previousId")  # the last of an alias
_DELETE: Final = "delete"
_IDENTIFY: Final = "identify"
_TRAITS: Final = (EMAIL, PHONE)
_NOTHING: Final[Keys] = {}


def merged(old: Keys, new: Keys) -> dict[str, str]:
    """What is known of a subject after something new was told of it.

    Of another person nothing that is old is kept.
    """
    return {**old, **new} if _is_same_person(old, new) else dict(new)


def _is_same_person(one: Keys, other: Keys) -> bool:
    """The external id decides; where one of the two has none, no other key may differ."""
    if EXTERNAL_ID in one and EXTERNAL_ID in other:
        return one[EXTERNAL_ID] == other[EXTERNAL_ID]
    return all(other.get(kind, value) == value for kind, value in one.items())


def subjects_of(payload: Json) -> tuple[str, ...]:
    """The ids a payload names its person by, at most two, whatever they are; userId first."""
    if not isinstance(payload, dict):
        return ()
    found = (_text(payload.get(key)) for key in _SUBJECTS)
    return tuple(dict.fromkeys(one for one in found if one and one.strip()))[:2]


def is_somebody(subject: str) -> bool:
    """Whether something may be remembered for the id."""
    return len(subject) <= MAX_SUBJECT_CHARACTERS and not is_placeholder(subject)


def is_placeholder(subject: str) -> bool:
    """Whether many have this id, because it stands in place of one."""
    word = subject.strip().lower()
    return not word.strip("0-") or word in NOBODY  # such as the zeros of a UUID


@dataclass(frozen=True, slots=True)
class Lesson:
    """What an event taught for one destination; it is for each of the event's subjects."""

    destination: str
    keys: Keys = field(repr=False)


@dataclass(slots=True)
class Memory:
    """What is remembered while some events are planned one after the other.

    Attributes:
        known: by subject and destination, what was remembered before the first of them.
    """

    known: Mapping[str, Mapping[str, Keys]] = field(default_factory=dict, repr=False)
    _learned: dict[tuple[str, str], Keys] = field(default_factory=dict, repr=False)

    def of(self, subject: str | None, destination: str) -> Keys:
        """What is remembered for the subject at present."""
        if subject is None:
            return _NOTHING
        learned = self._learned.get((subject, destination))
        if learned is not None:
            return learned
        return self.known.get(subject, {}).get(destination, _NOTHING)

    def learn(self, subjects: Iterable[str], lessons: Iterable[Lesson]) -> None:
        """Remembers what an event with these subjects taught."""
        about = tuple(subjects)
        for lesson in lessons:
            for subject in about:
                known = self.of(subject, lesson.destination)
                self._learned[subject, lesson.destination] = merged(known, lesson.keys)


@dataclass(frozen=True, slots=True)
class Filled:
    """What was remembered and is missing in a payload.

    Attributes:
        added: by the key of the field.
        kinds: of what was added.
    """

    added: JsonObject = field(default_factory=dict, repr=False)
    kinds: frozenset[str] = frozenset()

    def notes(self) -> tuple[FieldProblem, ...]:
        """Says of each field that it was filled in."""
        return tuple(FieldProblem(key, _FILLED) for key in self.added)


NOTHING_FILLED: Final = Filled()


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is remembered of the person of one event for one destination.

    Attributes:
        event: whose person it is.
        name: of the destination, as configured.
        destination: in whose form keys are remembered.
        memory: read only.
    """

    event: SegmentEvent
    name: str
    destination: Destination
    memory: Memory

    def missing(self, payload: JsonObject, fields: Sequence[Field]) -> Filled:
        """What the payload lacks; nothing that was given is replaced."""
        user, anonymous = _person(self.event.payload)
        by_user = self.memory.of(user, self.name)
        by_device = self.memory.of(anonymous, self.name)
        if not by_user and not by_device:
            return NOTHING_FILLED
        carriers = {one.match_key: one for one in fields if one.match_key is not None}
        own = {kind: payload.get(one.key) for kind, one in carriers.items()}
        if not self._is_theirs(by_device, {**by_user, **self._external_id(user)}, own):
            by_device = _NOTHING
        added: JsonObject = {}
        kinds: set[str] = set()
        for kind, value in {**by_device, **by_user}.items():
            carrier = carriers.get(kind)
            if carrier is not None and _is_empty(own[kind]):
                added[carrier.key] = [value] if carrier.multiple else value
                kinds.add(kind)
        return Filled(added, frozenset(kinds))

    def lesson(self) -> Lesson | None:
        """What the event teaches; None where that is nothing, or nothing new of somebody known.

        An identify always teaches, so that what it says lasts from then on.
        """
        if self.event.type == _DELETE:
            return None
        payload = self.event.payload
        user, anonymous = _person(payload)
        told: dict[str, str] = {}
        for kind, text in _told(self.event):
            form = self.destination.match_key(kind, text)
            if form is not None:
                told.setdefault(kind, form)
        if user is not None and (told or anonymous is not None):
            told |= self._external_id(user)
        if not told:
            return None
        subjects = [one for one in subjects_of(payload) if is_somebody(one)]
        if self.event.type != _IDENTIFY and all(self._knows(one, told) for one in subjects):
            return None
        return Lesson(self.name, told)

    def _knows(self, subject: str, told: Keys) -> bool:
        return told.items() <= self.memory.of(subject, self.name).items()

    def _external_id(self, user: str | None) -> Keys:
        form = None if user is None else self.destination.match_key(EXTERNAL_ID, user)
        return _NOTHING if form is None else {EXTERNAL_ID: form}

    def _is_theirs(self, by_device: Keys, claimed: Keys, own: Mapping[str, Json]) -> bool:
        """Whether what is known of the device is about the person of the event.

        Args:
            by_device: what is known of it.
            claimed: what is known of the person otherwise.
            own: the event's own values by kind. An external id says nothing here: where there is
                no userId, mappings take the anonymousId for it.
        """
        if EXTERNAL_ID in by_device and EXTERNAL_ID in claimed:
            return by_device[EXTERNAL_ID] == claimed[EXTERNAL_ID]
        if not _is_same_person(by_device, claimed):
            return False
        return not any(
            self._differs(own.get(kind), kind, value)
            for kind, value in by_device.items()
            if kind != EXTERNAL_ID
        )

    def _differs(self, given: Json, kind: str, remembered: str) -> bool:
        """A value was given, and none of it is what is remembered."""
        if _is_empty(given):
            return False
        values = given if isinstance(given, list) else [given]
        forms = (self.destination.match_key(kind, one) for one in values if isinstance(one, str))
        return remembered not in forms


def _person(payload: JsonObject) -> tuple[str | None, str | None]:
    """The userId and the anonymousId for which something may be remembered."""
    user, anonymous = (_text(payload.get(key)) for key in ("userId", "anonymousId"))
    return (
        user if user and is_somebody(user) else None,
        anonymous if anonymous and is_somebody(anonymous) else None,
    )


def _told(event: SegmentEvent) -> Iterator[tuple[str, str]]:
    """The traits an event gives that are match keys, by kind, the first of a kind first."""
    context = event.payload.get("context")
    parts = [context.get("traits") if isinstance(context, dict) else None]
    if event.type == _IDENTIFY:
        parts.insert(0, event.payload.get("traits"))
    for traits in parts:
        if isinstance(traits, dict):
            for kind in _TRAITS:
                text = _text(traits.get(kind))
                if text and len(text) <= 2 * MAX_SUBJECT_CHARACTERS:
                    yield kind, text


def _text(value: Json) -> str | None:
    """A text or a number as text, which can be written as UTF-8; None of anything else."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return number_text(value)


def _is_empty(value: Json) -> bool:
    """There is no value, or none but white space."""
    if isinstance(value, list):
        return all(_is_empty(one) for one in value)
    return value is None or (isinstance(value, str) and not value.strip())
