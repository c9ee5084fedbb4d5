"""A row of Segment's warehouse as the event it was made from, as far as the row still tells.

Segment makes columns in snake_case of all names, joins the names of nested objects with "_" and
turns lists into text; what a name looked like before is not in the row. So the columns below go
back to where the presets look, every other `context_…` column goes into `context`, and what
remains is a property under its column's name. Knows nothing of files.
Source: twilio.com/docs/segment/connections/storage/warehouses/schema (read 2026-11-21); that `id`
is the messageId: segment.com/docs/guides/duplicate-data (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from conversion_relay.core.decoding import Decoded, decode
from conversion_relay.core.values import Json, JsonObject, Path

_SIGNS: Final = frozenset({"event_text", "received_at", "original_timestamp", "message_id"})
"""A column with one of these names makes an object a row; an event has none of them."""

COLUMNS: Final[Mapping[str, Path]] = {
    "id": ("messageId",),
    "message_id": ("messageId",),
    "type": ("type",),
    "event_text": ("event",),
    "user_id": ("userId",),
    "anonymous_id": ("anonymousId",),
    "timestamp": ("timestamp",),
    "original_timestamp": ("originalTimestamp",),
    "sent_at": ("sentAt",),
    "received_at": ("receivedAt",),
    "context_user_agent": ("context", "userAgent"),
}
LEFT_OUT: Final = frozenset({"event", "uuid", "uuid_ts", "loaded_at"})
"""The table's name and what the warehouse adds."""
PREFIXES: Final[Mapping[str, Path]] = {
    "context_page_": ("context", "page"),
    "context_campaign_": ("context", "campaign"),
    "context_library_": ("context", "library"),
    "context_traits_address_": ("context", "traits", "address"),
    "context_traits_": ("context", "traits"),
    "context_": ("context",),
    "address_": ("properties", "address"),
}
"""The first that fits counts."""
_MOMENTS: Final = frozenset({"timestamp", "original_timestamp", "sent_at", "received_at"})


def is_row(value: Json) -> bool:
    """Whether a line is a row of a warehouse and not an event."""
    if not isinstance(value, dict) or "messageId" in value:
        return False
    return any(key.lower() in _SIGNS for key in value)


def event_of_row(row: JsonObject) -> JsonObject:
    """The event; without a type where neither `event_text` nor a column `type` gives one."""
    columns: JsonObject = {key.lower(): value for key, value in row.items() if value is not None}
    if "message_id" in columns:
        columns.pop("id", None)
    event: JsonObject = {"type": "track"} if "event_text" in columns else {}
    for path, value in _placed(columns):
        _put(event, path, value)
    return event


def _placed(columns: JsonObject) -> Iterator[tuple[Path, Json]]:
    is_track = "event_text" in columns
    for column, value in columns.items():
        if column in LEFT_OUT:
            continue
        if column == "name" and not is_track:
            yield ("name",), value  # of a page or a screen
        elif column in _MOMENTS:
            yield COLUMNS[column], _moment(value)
        else:
            yield _path(column), _unfolded(value)


def _path(column: str) -> Path:
    if column in COLUMNS:
        return COLUMNS[column]
    for prefix, place in PREFIXES.items():
        if column.startswith(prefix):
            return (*place, column.removeprefix(prefix))
    return ("properties", column)


def _moment(value: Json) -> Json:
    """As an event has it: BigQuery writes "2026-11-20 10:15:30 UTC"."""
    if isinstance(value, str) and value.endswith(" UTC"):
        return value.removesuffix(" UTC") + "Z"
    return value


def _unfolded(value: Json) -> Json:
    """A list that the warehouse keeps as text."""
    if not isinstance(value, str) or not value.startswith("["):
        return value
    found = decode(value)
    return found.value if isinstance(found, Decoded) else value


def _put(event: JsonObject, path: Path, value: Json) -> None:
    """Puts a value at its place; where a plain value stands on the way, the column's is kept."""
    current = event
    for key in path[:-1]:
        inner = current.setdefault(key, {})
        if not isinstance(inner, dict):
            return
        current = inner
    current.setdefault(path[-1], value)
