"""Whose events these are, without their ids: hashes made with a key of the database's own.

The key is random, made once and kept sealed, so that the hashes stay the same when the key that
seals is changed. Pure but for the drawing of the key; knows no database.
"""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Container, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from conversion_relay.service.sealing import Packing, Sealer, binding
from conversion_relay.service.store.port import Disposition, NewEvent

SLOT_BYTES: Final = 8
NONE: Final = bytes(SLOT_BYTES)
"""Stands where an event has no second subject, or none."""
NOBODY: Final = b"\xff" * SLOT_BYTES
"""Stands for the subject of an event in quarantine of which no id could be read."""
NOBODY_MARK: Final = int.from_bytes(NOBODY)
UNTOLD: Final = b"\xfe" * SLOT_BYTES
"""Stands for the subjects of an event of which only its original tells whose it is."""
UNTOLD_MARK: Final = int.from_bytes(UNTOLD)
EVENT_BYTES: Final = 2 * SLOT_BYTES
_KEY_BYTES: Final = 32
_HASH_BYTES: Final = 16
_CONTEXT: Final = binding("subject key")


@dataclass(frozen=True, slots=True)
class Subjects:
    """Hashes the ids of persons with a key."""

    key: bytes = field(repr=False)

    @staticmethod
    def drawn() -> Subjects:
        """With a new key."""
        return Subjects(secrets.token_bytes(_KEY_BYTES))

    @staticmethod
    def opened(sealed: bytes, sealer: Sealer) -> Subjects:
        """With the key that is kept.

        Raises:
            SealingError: it cannot be opened.
        """
        return Subjects(sealer.open(sealed, _CONTEXT))

    def sealed(self, sealer: Sealer) -> bytes:
        """The key, as it is kept."""
        return sealer.seal(self.key, _CONTEXT, Packing.PLAIN)

    def hash_of(self, subject: str) -> bytes:
        """The hash of an id, whatever its source."""
        text = subject.encode(errors="surrogatepass")
        return blake2b(text, key=self.key, digest_size=_HASH_BYTES).digest()

    def mark_of(self, subject: str) -> bytes:
        """The part of it that stands for an event's subject."""
        return self.hash_of(subject)[:SLOT_BYTES]

    def marks_of(self, subjects: Iterable[str]) -> frozenset[int]:
        """The same of several, each as the number that `events_marked` compares."""
        return frozenset(array("Q", b"".join(map(self.mark_of, subjects))))

    def marks(self, events: Iterable[NewEvent]) -> bytes | None:
        """Whose these events are, EVENT_BYTES for each; None when there is nobody at all."""
        found = b"".join(map(self._marks_of, events))
        return found if found.strip(b"\0") else None

    def _marks_of(self, event: NewEvent) -> bytes:
        marks = b"".join(map(self.mark_of, event.subjects[:2]))
        if not marks and event.disposition is Disposition.QUARANTINED:
            marks = NOBODY
        return marks.ljust(EVENT_BYTES, b"\0")


def events_marked(
    chunks: Iterable[tuple[int, int]], hashes: bytes, marks: AbstractSet[int]
) -> dict[int, AbstractSet[int]]:
    """The events whose subjects have any of these marks, in order, each with those it has.

    Args:
        chunks: for each its first event, and how many of the bytes are its hashes.
        hashes: of all of them, end to end.
        marks: as `Subjects.marks_of` gives them.
    """
    slots, begin = array("Q", hashes), 0
    found: dict[int, AbstractSet[int]] = {}
    for first_event, size in chunks:
        end = begin + size // SLOT_BYTES
        of_chunk = slots[begin:end]
        if not marks.isdisjoint(of_chunk):
            found |= _events_marked(first_event, of_chunk, marks)
        begin = end
    return found


def _events_marked(
    first_event: int, slots: Sequence[int], marks: AbstractSet[int]
) -> dict[int, AbstractSet[int]]:
    pairs = zip(slots[::2], slots[1::2], strict=True)
    found = ((event, marks & set(pair)) for event, pair in enumerate(pairs, first_event))
    return {event: theirs for event, theirs in found if theirs}


def without(first_event: int, hashes: bytes, events: Container[int]) -> bytes:
    """The hashes of a chunk, with nothing in the place of these events."""
    empty = bytes(EVENT_BYTES)
    return b"".join(
        empty
        if first_event + place // EVENT_BYTES in events
        else hashes[place : place + EVENT_BYTES]
        for place in range(0, len(hashes), EVENT_BYTES)
    )
