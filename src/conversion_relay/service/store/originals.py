"""The bytes of events as they came, compressed and sealed many at a time. Knows no database.

Together, because events resemble each other (a quarter less on the disk), and because zlib lets go
of the interpreter at every call: beside a busy loop a call for each event takes milliseconds.
Those that are kept for different times never share a chunk; a chunk of which some events are gone
is sealed anew without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import orjson

from conversion_relay.errors import SealingError
from conversion_relay.service.sealing import Sealer, binding
from conversion_relay.service.store.port import Disposition, NewEvent

_CHUNK_EVENTS = 128
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class SealedOriginals:
    """The originals of the events from `first_event` to `last_event`, one sealed value."""

    first_event: int
    last_event: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Original:
    """One event as it came, with the key it was kept under."""

    event: int
    source: str
    message_id: str
    content: bytes = field(repr=False)


def in_chunk_order(events: Iterable[NewEvent]) -> list[NewEvent]:
    """Those that are kept for the same time together, otherwise as they were."""
    return sorted(events, key=_is_short_lived)


def seal_originals(
    events: Sequence[NewEvent], first_event: int, sealer: Sealer
) -> list[SealedOriginals]:
    """The originals of events whose ids count up from `first_event`."""
    bounds: list[tuple[int, int]] = []
    plain: list[tuple[bytes, bytes]] = []
    for start, chunk in _chunks(events):
        first, last = first_event + start, first_event + start + len(chunk) - 1
        index = orjson.dumps([[e.source, e.message_id, len(e.original)] for e in chunk])
        content = b"".join([index, b"\n", *(event.original for event in chunk)])
        bounds.append((first, last))
        plain.append((content, _context(first, last)))
    sealed = sealer.seal_all(plain)
    return [SealedOriginals(*bound, value) for bound, value in zip(bounds, sealed, strict=True)]


def open_originals(chunk: SealedOriginals, sealer: Sealer) -> list[Original]:
    """The events inside, in order; those that are gone are left out.

    Raises:
        SealingError: it cannot be opened.
    """
    content = sealer.open(chunk.sealed, _context(chunk.first_event, chunk.last_event))
    head, _, rest = content.partition(b"\n")
    originals: list[Original] = []
    position = 0
    for event, entry in enumerate(orjson.loads(head), chunk.first_event):
        if entry is not None:
            source, message_id, size = entry
            part = rest[position : position + size]
            originals.append(Original(event, source, message_id, part))
            position += size
    return originals


def thinned(chunk: SealedOriginals, left: AbstractSet[int], sealer: Sealer) -> SealedOriginals:
    """The chunk with the originals of these events alone, each under its old id.

    Raises:
        SealingError: it cannot be opened.
    """
    kept = [one for one in open_originals(chunk, sealer) if one.event in left]
    return gathered(chunk.first_event, chunk.last_event, kept, sealer)


def gathered(
    first_event: int, last_event: int, kept: Iterable[Original], sealer: Sealer
) -> SealedOriginals:
    """A chunk for these events with the originals of those that are given, in order."""
    entries: dict[int, list[str | int]] = {}
    contents: list[bytes] = []
    for one in kept:
        entries[one.event] = [one.source, one.message_id, len(one.content)]
        contents.append(one.content)
    index = orjson.dumps([entries.get(event) for event in range(first_event, last_event + 1)])
    content = b"".join([index, b"\n", *contents])
    sealed = sealer.seal(content, _context(first_event, last_event))
    return SealedOriginals(first_event, last_event, sealed)


@dataclass(frozen=True, slots=True)
class Thinnable:
    """A chunk of originals, and the events that are left of it."""

    chunk: SealedOriginals
    left: frozenset[int]


def thin_all(chunks: Sequence[Thinnable], sealer: Sealer) -> list[tuple[Thinnable, bytes | None]]:
    """Each chunk sealed anew; None when it is damaged, which nobody can read anyway."""
    results: list[tuple[Thinnable, bytes | None]] = []
    for one in chunks:
        try:
            sealed = thinned(one.chunk, one.left, sealer).sealed
        except SealingError:
            results.append((one, None))
        else:
            results.append((one, sealed))
    return results


def _is_short_lived(event: NewEvent) -> bool:
    return event.disposition is Disposition.UNMATCHED


def _context(first_event: int, last_event: int) -> bytes:
    return binding("originals", first_event, last_event)


def _chunks(events: Sequence[NewEvent]) -> Iterator[tuple[int, Sequence[NewEvent]]]:
    """Runs of events within the bounds of a chunk, with the position of their first."""
    start = size = 0
    for position, event in enumerate(events):
        full = position - start >= _CHUNK_EVENTS or size + len(event.original) > _CHUNK_BYTES
        other = _is_short_lived(event) is not _is_short_lived(events[start])
        if (full or other) and position > start:
            yield start, events[start:position]
            start, size = position, 0
        size += len(event.original)
    if start < len(events):
        yield start, events[start:]
