"""The bytes of events as they came, compressed and sealed many at a time. Knows no database.

Together, because events resemble each other (a quarter less on the disk), and because zlib lets go
of the interpreter at every call: beside a busy loop a call for each event takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from conversion_relay.service.sealing import Sealer, binding
from conversion_relay.service.store.port import NewEvent

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
    """The events inside, in order.

    Raises:
        SealingError: it cannot be opened.
    """
    content = sealer.open(chunk.sealed, _context(chunk.first_event, chunk.last_event))
    head, _, rest = content.partition(b"\n")
    originals: list[Original] = []
    position = 0
    for number, (source, message_id, size) in enumerate(orjson.loads(head)):
        part = rest[position : position + size]
        originals.append(Original(chunk.first_event + number, source, message_id, part))
        position += size
    return originals


def _context(first_event: int, last_event: int) -> bytes:
    return binding("originals", first_event, last_event)


def _chunks(events: Sequence[NewEvent]) -> Iterator[tuple[int, Sequence[NewEvent]]]:
    """Runs of events within the bounds of a chunk, with the position of their first."""
    start = size = 0
    for position, event in enumerate(events):
        full = position - start >= _CHUNK_EVENTS or size + len(event.original) > _CHUNK_BYTES
        if full and position > start:
            yield start, events[start:position]
            start, size = position, 0
        size += len(event.original)
    if start < len(events):
        yield start, events[start:]
