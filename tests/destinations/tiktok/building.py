"""What the tests of Report Web Event share: from a payload to a decoded element."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import orjson

from conversion_relay.core.coercion import Checker
from conversion_relay.core.destination import Built
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.fields import FIELDS
from conversion_relay.destinations.tiktok.web_event import ReportWebEvent, TikTokSettings

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
NOW_SECONDS = 1768046400
PLAIN = TikTokSettings("PIXEL")
CHECKER = Checker(FIELDS)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """An element with its parts; `fields` are those with a warning."""

    element: JsonObject
    envelope: JsonObject
    fields: list[str]
    rejected: list[str]

    @property
    def user(self) -> JsonObject:
        """TikTok's `user` object."""
        return self._object("user")

    @property
    def properties(self) -> JsonObject:
        """TikTok's `properties` object."""
        return self._object("properties")

    def _object(self, key: str) -> JsonObject:
        value = self.element[key]
        assert isinstance(value, dict)
        return value


def run(
    settings: TikTokSettings = PLAIN, arrival: JsonObject | None = None, **payload: Json
) -> Outcome:
    """Check and build; `arrival` is the event around the payload."""
    payload = {"event": "Probe", "timestamp": "2026-01-05T10:00:00Z", **payload}
    checked = CHECKER.check(payload)
    if checked.rejections:
        return Outcome({}, {}, [], [problem.field for problem in checked.rejections])
    segment_event = SegmentEvent(arrival or {}, "track", None)
    built = ReportWebEvent(settings).build(checked.payload, segment_event, NOW)
    assert isinstance(built, Built)
    warnings = [problem.field for problem in (*checked.warnings, *built.warnings)]
    return Outcome(orjson.loads(built.body), orjson.loads(built.envelope), warnings, [])
