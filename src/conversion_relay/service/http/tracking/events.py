"""From the body of a request of Segment's libraries to completed events.

One bad event of a batch costs no other. Knows no source and no HTTP but its refusals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from conversion_relay.core.brackets import is_deeper
from conversion_relay.core.completion import SHARED, Arrival, complete, require_finite
from conversion_relay.core.decoding import (
    Decoded,
    Undecodable,
    Unusable,
    decode,
    members,
    read_list,
)
from conversion_relay.core.values import JsonObject, json_type
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.http.tracking import refusals
from conversion_relay.service.http.turns import Pace, paced

_WRITE_KEY: Final = "writeKey"


@dataclass(frozen=True, slots=True)
class TrackingLimits:
    """Bounds of one request, each in bytes of the unpacked body, and in events.

    Attributes:
        max_body_bytes: of a batch.
        max_event_bytes: of an event as it was sent.
        max_completed_bytes: of an event with what it was completed with.
        max_request_bytes: of all events of a request, completed.
        max_batch_events: in a batch.
        max_nesting: levels of brackets in an event.
    """

    max_body_bytes: int
    max_event_bytes: int
    max_completed_bytes: int
    max_request_bytes: int
    max_batch_events: int
    max_nesting: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a body holds.

    Attributes:
        elements: of the batch, or the one event.
        shared: defaults for all of them.
        growth_bytes: by how much these may make the elements larger, together.
        write_key: the request's, or that of the first event that has one.
    """

    elements: Sequence[Decoded | Unusable]
    shared: JsonObject
    write_key: bytes | None
    growth_bytes: int = 0


def read_event(body: bytes) -> Contents | Problem:
    """The one event of the body."""
    try:
        decoded = decode(body.decode())
    except UnicodeDecodeError:
        return refusals.unreadable("it is not UTF-8")
    if isinstance(decoded, Undecodable):
        return refusals.unreadable(f"it is no JSON: {decoded.reason}")
    if not isinstance(decoded.value, dict):
        return refusals.unreadable(
            f"an event is a JSON object, this is {json_type(decoded.value)}"
        )
    return Contents((decoded,), {}, _write_key(decoded))


async def read_batch(body: bytes, limits: TrackingLimits) -> Contents | Problem:
    """The events of the body, and what stands beside them."""
    found = members(body.decode(errors="surrogateescape"))
    if isinstance(found, Undecodable):
        return refusals.unreadable(f"it is no JSON: {found.reason}")
    if not found.get("batch", "").startswith("["):
        return refusals.unreadable('it is no object with a list of events as "batch"')
    texts = {key: text for key, text in found.items() if key != "batch"}
    beside_bytes = sum(map(_size, texts.values()))
    if beside_bytes > limits.max_completed_bytes:
        return refusals.beside_too_large(limits.max_completed_bytes)
    beside = _beside(texts)
    if isinstance(beside, Undecodable):
        return refusals.unreadable(beside.reason)
    batch = await _events(found["batch"], limits)
    if isinstance(batch, Problem):
        return batch
    keys = (_write_key(one) for one in (Decoded(beside, ""), *batch))
    shared = {key: beside[key] for key in SHARED if key in beside}
    write_key = next((key for key in keys if key is not None), None)
    return Contents(batch, shared, write_key, beside_bytes * len(batch))


def _beside(texts: dict[str, str]) -> JsonObject | Undecodable:
    """What stands beside the list; a key is never named, for it may be anything."""
    read: JsonObject = {}
    for key, text in texts.items():
        decoded = decode(text) if _is_utf8(text) else Undecodable("it is not UTF-8")
        if isinstance(decoded, Undecodable):
            return Undecodable(f'what stands beside "batch" is no JSON: {decoded.reason}')
        try:
            require_finite(decoded)
        except (ValueError, RecursionError):
            return Undecodable('a number beside "batch" is greater than a float can be')
        read[key] = decoded.value
    return read


async def _events(text: str, limits: TrackingLimits) -> list[Decoded | Unusable] | Problem:
    found: list[Decoded | Unusable] = []
    steps: AsyncIterator[Decoded | Unusable | Undecodable] = paced(
        read_list(text, limits.max_event_bytes)
    )
    async for element in steps:
        if isinstance(element, Undecodable):
            return refusals.unreadable(f'in "batch": {element.reason}')
        if len(found) == limits.max_batch_events:
            return refusals.batch_too_long(limits.max_batch_events)
        found.append(_of_fair_size(element, limits.max_event_bytes))
    return found


def _of_fair_size(element: Decoded | Unusable, max_bytes: int) -> Decoded | Unusable:
    if isinstance(element, Unusable) or _size(element.text) <= max_bytes:
        return element
    return Unusable(f"it is larger than {max_bytes} bytes", element.text)


async def complete_all(
    contents: Contents, arrival: Arrival, new_id: Callable[[], str], limits: TrackingLimits
) -> list[Decoded | Unusable] | Problem:
    """The events as Segment would hand them on; what cannot be completed stays as it was sent."""
    found: list[Decoded | Unusable] = []
    pace, left = Pace(), limits.max_request_bytes
    for element in contents.elements:
        completed = _completed(element, arrival, new_id, limits.max_nesting)
        left -= _size(completed.text)
        if left < 0:
            return refusals.shares_too_much(limits.max_request_bytes)
        found.append(_of_fair_growth(element, completed, limits.max_completed_bytes))
        await pace.breathe()
    return found


def _completed(
    element: Decoded | Unusable, arrival: Arrival, new_id: Callable[[], str], max_nesting: int
) -> Decoded | Unusable:
    """What the planner puts into quarantine anyhow stays as it was sent, so a copy is one."""
    if isinstance(element, Unusable) or not _is_utf8(element.text):
        return element
    if is_deeper(element.text, max_nesting):
        return element
    return complete(element, arrival, new_id())


def _of_fair_growth(
    element: Decoded | Unusable, completed: Decoded | Unusable, max_bytes: int
) -> Decoded | Unusable:
    if isinstance(completed, Unusable) or _size(completed.text) <= max_bytes:
        return completed
    reason = f"with what is shared and filled in it is larger than {max_bytes} bytes"
    return Unusable(reason, element.text)


def _write_key(element: Decoded | Unusable) -> bytes | None:
    value = element.value if isinstance(element, Decoded) else None
    key = value.get(_WRITE_KEY) if isinstance(value, dict) else None
    return key.encode(errors="surrogatepass") if isinstance(key, str) and key else None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogateescape"))


def _is_utf8(text: str) -> bool:
    """Whether no byte of it had to be kept as what it was."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
