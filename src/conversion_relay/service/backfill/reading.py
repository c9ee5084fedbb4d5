"""From a file's bytes to the events on its lines: NDJSON as it is, or gzip of it.

Every line comes out once, whatever it holds; a line that cannot be read costs no other one. A
line holds an event, a list of events, an object with such a list as "batch", or a row of a
warehouse. Knows no clock and sends nothing; a reason never repeats what stands in the file.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO, Final

from conversion_relay.core.decoding import (
    Decoded,
    Undecodable,
    Unusable,
    decode,
    elements,
    is_list,
)
from conversion_relay.core.event import MalformedEvent, SegmentEvent
from conversion_relay.core.times import possible_seconds
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.service.backfill.warehouse import event_of_row, is_row

MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_LINE_BYTES: Final = 32 * 1024 * 1024
_PIECE_BYTES: Final = 256 * 1024
_GZIP_BEGINS: Final = b"\x1f\x8b"
_TYPES: Final = frozenset({"track", "page", "screen", "identify", "group", "alias"})
"""Segment's; a type that is none of them may be anything, and is shown as "other"."""
_SHARED: Final = ("context", "integrations", "sentAt")
"""What stands beside "batch" counts for each of its events that has none of its own."""
_MOMENTS: Final = ("timestamp", "originalTimestamp", "receivedAt", "sentAt")
_ABSURD_SECONDS: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_ABSURD_MICROSECONDS: Final = _ABSURD_SECONDS * 1_000_000
MAX_NAMED_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class ExportedEvent:
    """One event of a file.

    Attributes:
        name: of a track event its name, else its type, where Segment has such a type.
        happened_at: by its own timestamp, or the next best time it carries; aware.
        text: to be sent; the bytes of the file where it stands there as an event.
    """

    name: str
    happened_at: datetime | None
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Line:
    """What one line holds; nothing at all, if it is empty.

    Attributes:
        number: counted from 1.
        events: in order.
        problems: how a sentence goes on that begins with the line, for what cannot be read of it;
            the first 20.
        unnamed: how much more of it cannot be read.
    """

    number: int
    events: tuple[ExportedEvent, ...] = ()
    problems: tuple[str, ...] = ()
    unnamed: int = 0

    @property
    def unreadable(self) -> int:
        """How much of it cannot be read."""
        return len(self.problems) + self.unnamed


@dataclass(frozen=True, slots=True)
class Damage:
    """Why a file cannot be read to its end, and the line that would have come next."""

    number: int
    reason: str


def read(file: BinaryIO) -> Iterator[Line | Damage]:
    """Every line of the file, in order; a Damage is the last.

    The rest of a line that a damage cuts is part of the damage, not a line.
    """
    number = 0
    try:
        for raw in _split(_pieces(file)):
            number += 1
            yield read_line(number, raw)
    except EOFError:
        yield Damage(number + 1, "the gzip data ends too early, as if the file were cut off")
    except (gzip.BadGzipFile, zlib.error):
        yield Damage(number + 1, "the gzip data is damaged, or other data follows it")
    except OSError as error:
        yield Damage(number + 1, f"it cannot be read: {error.strerror}")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """The content, unpacked where it begins as gzip does.

    Raises:
        EOFError: it is cut off.
        gzip.BadGzipFile, zlib.error: it is damaged.
    """
    is_packed = file.read(len(_GZIP_BEGINS)) == _GZIP_BEGINS
    file.seek(0)
    read_piece: Callable[[int], bytes] = file.read
    if is_packed:
        read_piece = gzip.GzipFile(fileobj=file).read1  # gives all that comes before a damage
    while piece := read_piece(_PIECE_BYTES):
        yield piece


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines without their ends; of one that is too long, a little more than is allowed."""
    begun: list[bytes] = []
    size = 0
    for piece in pieces:
        *ended, rest = piece.split(b"\n")
        for part in ended:
            yield b"".join((*begun, part))
            begun, size = [], 0
        if size <= MAX_LINE_BYTES:
            begun.append(rest)
            size += len(rest)
    if size:
        yield b"".join(begun)


def read_line(number: int, raw: bytes) -> Line:
    """What the line holds; a list whose syntax breaks off gives what stands before."""
    if len(raw) > MAX_LINE_BYTES:
        return Line(number, problems=(f"is longer than {MAX_LINE_BYTES} bytes",))
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return Line(number, problems=(f"is no JSON: not UTF-8 at byte {error.start + 1}",))
    if not text.removeprefix("\ufeff").strip():
        return Line(number)
    events: list[ExportedEvent] = []
    problems: list[str] = []
    unnamed = 0
    for one in map(_event, _values(raw, text)):
        if isinstance(one, ExportedEvent):
            events.append(one)
        elif len(problems) < MAX_NAMED_PROBLEMS:
            problems.append(one)
        else:
            unnamed += 1
    return Line(number, tuple(events), tuple(problems), unnamed)


def _values(raw: bytes, text: str) -> Iterable[Decoded | Unusable | Undecodable]:
    """What should be events."""
    if is_list(raw):
        return elements(text, MAX_EVENT_BYTES)
    decoded = decode(text)
    if isinstance(decoded, Decoded) and isinstance(decoded.value, dict):
        batch = decoded.value.get("batch")
        if isinstance(batch, list) and "type" not in decoded.value:
            return _of_batch(decoded.value, batch)
    return (decoded,)


def _of_batch(request: JsonObject, batch: Iterable[Json]) -> Iterator[Decoded | Unusable]:
    """Its events, each with what all of them share."""
    shared: JsonObject = {key: request[key] for key in _SHARED if key in request}
    for one in batch:
        yield _written({**shared, **one} if isinstance(one, dict) else one)


def _written(value: Json) -> Decoded | Unusable:
    try:
        return Decoded(value, json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        return Unusable("nested too deeply", "")


def _event(element: Decoded | Unusable | Undecodable) -> ExportedEvent | str:
    """The event, or what is wrong."""
    if isinstance(element, Decoded) and isinstance(element.value, dict) and is_row(element.value):
        element = _written(event_of_row(element.value))
    if not isinstance(element, Decoded):
        return f"is no JSON: {element.reason}"
    text = element.text.encode()
    if len(text) > MAX_EVENT_BYTES:
        return f"holds an event of more than {MAX_EVENT_BYTES} bytes"
    event = SegmentEvent.parse(element.value)
    if isinstance(event, MalformedEvent):
        return f"holds no event: {event.reason}"
    name = event.text("event") if event.type == "track" else None
    kind = event.type if event.type in _TYPES else "other"
    return ExportedEvent(name or kind, _happened_at(event.payload), text)


def _happened_at(payload: JsonObject) -> datetime | None:
    moments = (moment(payload.get(key)) for key in _MOMENTS)
    return next((one for one in moments if one is not None), None)


def moment(value: Json) -> datetime | None:
    """A time in any form in which mappings read one; none that lies beyond the year 2100."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = value if isinstance(value, str) else _digits(value)
    seconds = next((one for one in possible_seconds(text) if one < _ABSURD_SECONDS), None)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # before the year 1
        return None


def _digits(number: float) -> str:
    return str(int(number)) if abs(number) < _ABSURD_MICROSECONDS else ""
