"""One Segment payload, parsed once.

Knows the envelope of an event (type, messageId, times); not what triggers or mappings do with it.
Source: segment.com/docs/connections/spec/common (read 2026-11-21).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conversion_relay.core.values import Json, JsonObject, json_type

MAX_MESSAGE_ID_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """Why a payload is no event; `reason` is a sentence without any of its values."""

    reason: str


@dataclass(frozen=True, slots=True)
class SegmentEvent:
    """A frozen view of one payload.

    Attributes:
        payload: what was sent, without parts that should be objects and are plain values:
            paths would take the value itself for each of its members. Nobody may change it.
        type: track, page, identify, screen, group, alias, delete, or what else was sent.
        message_id: what duplicates share; None when the payload has none.
    """

    payload: JsonObject
    type: str
    message_id: str | None

    @staticmethod
    def parse(payload: Json) -> SegmentEvent | MalformedEvent:
        """The event in a decoded payload, or the reason why it is none."""
        if not isinstance(payload, dict):
            return MalformedEvent(f"an event is a JSON object, this is {json_type(payload)}")
        kind = payload.get("type")
        if not isinstance(kind, str) or not kind:
            found = "missing" if "type" not in payload else json_type(kind)
            return MalformedEvent(f'"type" must be a word such as "track", it is {found}')
        return SegmentEvent(_readable(payload), kind, _message_id(payload.get("messageId")))

    def text(self, key: str) -> str | None:
        """A top-level value as text, or None where it is no text."""
        value = self.payload.get(key)
        return value if isinstance(value, str) else None


_PARTS: Final = ("properties", "traits", "context", "integrations")


def _readable(payload: JsonObject) -> JsonObject:
    broken = [key for key in _PARTS if isinstance(payload.get(key), str | int | float)]
    if not broken:
        return payload
    return {key: value for key, value in payload.items() if key not in broken}


def _message_id(value: Json) -> str | None:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None
