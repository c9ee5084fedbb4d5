"""The judge of every row: what the sandbox counted against what was posted and acknowledged.

Knows no service. None missing, none twice, none invented, and each with the payload that the plan
makes of the event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.plan import Target, plan
from conversion_relay.core.values import JsonObject
from conversion_relay.sandbox import Conversion, payload_sha256
from conversion_relay.service.configuration import load_for_preview
from conversion_relay.service.targets import build_targets

_NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, by messageId; nothing, if all goes well.

    Attributes:
        acknowledged: how many events the service had answered 200.
        conversions: how many the sandbox counted.
        missing: acknowledged, and never counted.
        twice: counted more than once.
        invented: counted, and never posted.
        altered: counted with another payload than `preview` shows, at the first or a later send.
    """

    acknowledged: int
    conversions: int
    missing: AbstractSet[str]
    twice: AbstractSet[str]
    invented: AbstractSet[str]
    altered: AbstractSet[str]

    @property
    def is_flawless(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.missing or self.twice or self.invented or self.altered)

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} acknowledged, {self.conversions:,} conversions: "
            f"{len(self.missing)} lost, {len(self.twice)} twice, {len(self.invented)} invented, "
            f"{len(self.altered)} altered"
        )


def judge(
    conversions: Sequence[Conversion], acknowledged: AbstractSet[str], posted: Mapping[str, str]
) -> Verdict:
    """The verdict.

    Args:
        conversions: of the sandbox's ledger, after the 48-hour rule.
        acknowledged: the messageIds that were answered 200.
        posted: every messageId that was ever posted, with the hash its payload must have.
    """
    arrived = Counter(str(one.event_id) for one in conversions)
    return Verdict(
        acknowledged=len(acknowledged),
        conversions=len(conversions),
        missing=acknowledged - arrived.keys(),
        twice={name for name, count in arrived.items() if count > 1},
        invented=arrived.keys() - posted.keys(),
        altered={str(one.event_id) for one in conversions if _is_altered(one, posted)},
    )


def _is_altered(conversion: Conversion, posted: Mapping[str, str]) -> bool:
    expected = posted.get(str(conversion.event_id), conversion.sha256)
    return conversion.altered_copies > 0 or conversion.sha256 != expected


def targets() -> tuple[Target, ...]:
    """What the documented presets make of events, with placeholders for credentials."""
    return build_targets(load_for_preview({}))


def hashes(events: Iterable[JsonObject], planned_for: Sequence[Target]) -> dict[str, str]:
    """By messageId, the hash of the payload that each of these events has to arrive with."""
    return {
        str(event["messageId"]): payload_sha256(orjson.loads(delivery.body))
        for event in events
        for delivery in plan(_parsed(event), planned_for, _NOW).deliveries
    }


def _parsed(event: JsonObject) -> SegmentEvent:
    parsed = SegmentEvent.parse(event)
    assert isinstance(parsed, SegmentEvent)
    return parsed
