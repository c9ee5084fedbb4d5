"""What would be sent: NDJSON of Segment events in, one line of JSON out for each.

The plan is the same as the webhook's; nothing is kept and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson

from conversion_relay.core.decoding import Decoded, Undecodable, decode
from conversion_relay.core.event import MalformedEvent, SegmentEvent
from conversion_relay.core.plan import Plan, Target, plan
from conversion_relay.core.values import Json


@dataclass(frozen=True, slots=True)
class Previewed:
    """What one line of the input leads to, as a line of JSON."""

    line: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line of the input, counted from 1, that holds no JSON."""

    number: int
    reason: str


def preview(
    lines: Iterable[bytes], targets: Sequence[Target], now: datetime
) -> Iterator[Previewed | Unreadable]:
    """One result for each line that is not empty, in order."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        decoded = _decode(line)
        if isinstance(decoded, Undecodable):
            yield Unreadable(number, decoded.reason)
        else:
            yield Previewed(_describe(decoded.value, targets, now))


def _decode(line: bytes) -> Decoded | Undecodable:
    try:
        return decode(line.decode())
    except UnicodeDecodeError as error:
        return Undecodable(f"not UTF-8 at byte {error.start + 1}")


def _describe(value: Json, targets: Sequence[Target], now: datetime) -> str:
    event = SegmentEvent.parse(value)
    if isinstance(event, MalformedEvent):
        rejection = {"destination": None, "mapping": None, "field": None, "reason": event.reason}
        message_id = value.get("messageId") if isinstance(value, dict) else None
        return _line(message_id, [], [], [rejection])
    result = plan(event, targets, now)
    return _line(
        event.payload.get("messageId"),
        _deliveries(result, targets),
        [asdict(note) for note in result.warnings],
        [asdict(note) for note in result.rejections],
    )


def _deliveries(result: Plan, targets: Sequence[Target]) -> list[dict[str, object]]:
    destinations = {target.name: target.destination for target in targets}
    shown: list[dict[str, object]] = []
    for delivery in result.deliveries:
        destination = destinations[delivery.destination]
        request = destination.request(delivery.envelope, [delivery.body], credential="")
        shown.append(
            {
                "destination": delivery.destination,
                "mapping": delivery.mapping,
                "body": orjson.Fragment(request.content),
            }
        )
    return shown


def _line(message_id: Json, deliveries: object, warnings: object, rejections: object) -> str:
    return orjson.dumps(
        {
            "messageId": message_id,
            "deliveries": deliveries,
            "warnings": warnings,
            "rejections": rejections,
        }
    ).decode()
