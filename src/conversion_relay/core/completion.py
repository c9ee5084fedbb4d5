"""What Segment's Tracking API fills in before it hands an event on: defaults, times, id, address.

Values in, values out: the present, a fresh id and the visitor's address are given. Knows no
request; what is no event is its caller's to set aside.
Source: segment.com/docs/connections/spec/common and …/sources/catalog/libraries/server/http-api
(read 2026-11-21).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson

from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.event import MAX_MESSAGE_ID_CHARACTERS
from conversion_relay.core.times import possible_seconds
from conversion_relay.core.values import Json, JsonObject

_OBJECTS: Final = ("context", "integrations")
SHARED: Final[tuple[str, ...]] = (*_OBJECTS, "anonymousId", "sentAt", "timestamp", "userId")
"""What stands beside "batch" counts for its events. A messageId there is the batch's, as
analytics-go sends it: were it every event's, all but one would be taken for copies."""
_OWN_TIMES: Final = ("originalTimestamp", "timestamp")
_EPOCH_BEGINS: Final = re.compile(r"\s*[0-9]{9}")
_BEYOND_FLOATS: Final = re.compile(r"[eE]\+?0*[1-9][0-9]{2}|(?<![0-9])[0-9]{300}")
"""Digits are counted from the first of a number only: from each would cost 300 times as much."""
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ABSURD_SECONDS: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_ABSURD_NUMBER: Final = _ABSURD_SECONDS * 1_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a request came in, as far as its events need to know.

    Attributes:
        received_at: aware.
        shared: defaults for each event.
        type: of the event, where the path says it.
        visitor_ip: of the connection, where it is the visitor's.
    """

    received_at: datetime
    shared: JsonObject = field(default_factory=dict)
    type: str | None = None
    visitor_ip: str | None = None


def complete(element: Decoded, arrival: Arrival, fresh_id: str) -> Decoded | Unusable:
    """The event as Segment would hand it on; one without a type, or no object, is left as it is.

    Args:
        element: as it was sent.
        arrival: of its request.
        fresh_id: its messageId, if it has none and nothing to make one from.
    """
    if not isinstance(element.value, dict):
        return element
    event = _with_defaults(element.value, arrival)
    if not isinstance(event.get("type"), str) or not event["type"]:
        return element
    try:
        require_finite(element)
        event["messageId"] = _message_id(element.value, event, fresh_id)
        event |= _times(event, arrival.received_at)
        if arrival.visitor_ip is not None:
            event["context"] = _with_ip(event.get("context"), arrival.visitor_ip)
        return Decoded(event, _written(event))
    except RecursionError:
        return Unusable("nested too deeply", element.text)
    except ValueError:
        return Unusable("a number that is greater than a float can be", element.text)


def require_finite(decoded: Decoded) -> None:
    """Looks for numbers that became infinite when they were read, and could not be written again.

    Raises:
        ValueError: there is one.
        RecursionError: it is nested too deeply to be written.
    """
    if _BEYOND_FLOATS.search(decoded.text):
        json.dumps(decoded.value, allow_nan=False)


def _with_defaults(own: JsonObject, arrival: Arrival) -> JsonObject:
    """The event's own always wins; context and integrations are merged member by member."""
    event = {key: value for key, value in own.items() if key != "writeKey"}
    for key in SHARED:
        shared, value = arrival.shared.get(key), event.get(key)
        if shared is None:
            continue
        is_empty = value == [] and key in _OBJECTS  # as PHP writes an empty object
        if value is None or is_empty:
            event[key] = shared
        elif key in _OBJECTS and isinstance(value, dict) and isinstance(shared, dict):
            event[key] = {**shared, **value}
    if arrival.type is not None:
        event["type"] = arrival.type
    return event


def _message_id(own: JsonObject, event: JsonObject, fresh_id: str) -> Json:
    """The event's, or one that a repetition of the same event has too, if anything tells them.

    Without a time of its own an event looks like every other of its kind: taking two for one would
    lose a conversion, so each is new.
    """
    given = event.get("messageId")
    text = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if isinstance(text, str) and text:
        return text if len(text) <= MAX_MESSAGE_ID_CHARACTERS else _digest(text)
    if all(own.get(key) is None for key in _OWN_TIMES):
        return fresh_id
    return _digest(_written({key: event[key] for key in sorted(event) if key not in _NOT_CONTENT}))


_NOT_CONTENT: Final = frozenset({"messageId", "receivedAt", "sentAt"})


def _digest(text: str) -> str:
    return f"relay-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:40]}"


def _times(event: JsonObject, received_at: datetime) -> JsonObject:
    """The three times that Segment gives an event; `sentAt` stays as it is."""
    received = _iso(received_at)
    given = next((event[key] for key in _OWN_TIMES if event.get(key) is not None), None)
    if given is None:
        return {"timestamp": received, "receivedAt": received}
    original, sent = _moment(given), _moment(event.get("sentAt"))
    timestamp = given
    if original is None:
        timestamp = received
    elif sent is not None:
        corrected = _corrected(original, sent, received_at)
        timestamp = given if corrected is None else _iso(corrected)
    return {"timestamp": timestamp, "receivedAt": received, "originalTimestamp": given}


def _corrected(original: datetime, sent: datetime, received: datetime) -> datetime | None:
    """When it happened by our clock: as long before it came as it was old when it was sent.

    None happened later than it came; one that would have happened before 1970 has no such time.
    """
    try:
        corrected = received - (sent - original)
    except OverflowError:
        return None
    return min(corrected, received) if corrected >= _FIRST else None


def _moment(value: Json) -> datetime | None:
    """To the microsecond where it is ISO 8601, to the second in every other readable form."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = value if isinstance(value, str) else _digits(value)
    if not _EPOCH_BEGINS.match(text):
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            pass
        else:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = next((one for one in possible_seconds(text) if one < _ABSURD_SECONDS), None)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):  # before the year 1
        return None


def _digits(number: float) -> str:
    return str(int(number)) if 0 <= number < _ABSURD_NUMBER else ""


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_ip(context: Json, address: str) -> Json:
    """The context with the address, unless it says something of the address itself."""
    if context is None:
        return {"ip": address}
    if not isinstance(context, dict) or context.get("ip") not in (None, ""):
        return context
    return {**context, "ip": address}


def _written(value: JsonObject) -> str:
    """The value as JSON; integers keep their digits.

    Raises:
        RecursionError: it is nested too deeply.
    """
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # an integer of more than 64 bits, or more levels than orjson goes down
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
