"""What would be sent: NDJSON of Segment events in, one line of JSON out for each.

The plan is the same as the webhook's; nothing is kept and nothing is sent. A line that cannot be
shown costs the others nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson

from conversion_relay.core.decoding import Undecodable, decode
from conversion_relay.core.event import MalformedEvent, SegmentEvent
from conversion_relay.core.plan import Plan, Target, plan
from conversion_relay.core.values import Json


@dataclass(frozen=True, slots=True)
class Previewed:
    """What one line of the input leads to, as a line of JSON."""

    line: str


@dataclass(frozen=True, slots=True)
class Unshown:
    """A line of the input that cannot be shown.

    Attributes:
        number: counted from 1.
        problem: how a sentence goes on that begins with the line; never a part of it.
    """

    number: int
    problem: str


def preview(
    lines: Iterable[bytes], targets: Sequence[Target], now: datetime
) -> Iterator[Previewed | Unshown]:
    """One result for each line that is not empty, in order."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _result(number, line, targets, now)
        except RecursionError:
            yield Unshown(number, "is nested too deeply")
        except Exception as error:  # noqa: BLE001 - as at the webhook, it must cost no other line
            yield Unshown(number, f"could not be planned ({type(error).__name__})")


def _result(
    number: int, line: bytes, targets: Sequence[Target], now: datetime
) -> Previewed | Unshown:
    try:
        decoded = decode(line.decode())
    except UnicodeDecodeError as error:
        return Unshown(number, f"is no JSON: not UTF-8 at byte {error.start + 1}")
    if isinstance(decoded, Undecodable):
        return Unshown(number, f"is no JSON: {decoded.reason}")
    return Previewed(_describe(decoded.value, targets, now))


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
            "messageId": _as_sent(message_id),
            "deliveries": deliveries,
            "warnings": warnings,
            "rejections": rejections,
        }
    ).decode()


def _as_sent(value: Json) -> orjson.Fragment:
    """The value with all its digits: orjson writes integers of 64 bits only."""
    try:
        return orjson.Fragment(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return orjson.Fragment(json.dumps(value, ensure_ascii=False, allow_nan=False))
