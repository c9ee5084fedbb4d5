"""What would be sent: NDJSON of Segment events in, one line of JSON out for each.

The plan is the same as the webhook's; nothing is kept and nothing is sent. A line that cannot be
shown costs the others nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

import orjson

from conversion_relay.core.decoding import Undecodable, decode
from conversion_relay.core.event import MalformedEvent
from conversion_relay.core.match_keys import Memory, subjects_of
from conversion_relay.core.plan import Note, Plan, Target, plan
from conversion_relay.core.reception import EventLimits, received
from conversion_relay.core.values import Json

_NOTHING: Final = Plan()
_NO_LIMITS: Final = EventLimits()


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
    lines: Iterable[bytes],
    targets: Sequence[Target],
    now: datetime,
    memory: Memory | None = None,
    *,
    explain: bool = False,
    limits: EventLimits = _NO_LIMITS,
) -> Iterator[Previewed | Unshown]:
    """One result for each line that is not empty, in order.

    Args:
        lines: NDJSON of Segment events.
        targets: where the events would go.
        now: aware.
        memory: of match keys, to which each line adds what it teaches; None where the source
            remembers none.
        explain: say as well what filters decided and what settings keep from the partner.
        limits: what is beyond them would go into quarantine.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = _planned(number, line.strip(), targets, now, memory, limits)
            yield found if isinstance(found, Unshown) else _shown(found, targets, explain=explain)
        except RecursionError:
            yield Unshown(number, "is nested too deeply")
        except Exception as error:  # noqa: BLE001 - as at the webhook, it must cost no other line
            yield Unshown(number, f"could not be planned ({type(error).__name__})")


@dataclass(frozen=True, slots=True)
class _Planned:
    """A line with its plan; `malformed` says why it is no event."""

    message_id: Json
    plan: Plan = _NOTHING
    malformed: str | None = None


def _planned(
    number: int,
    line: bytes,
    targets: Sequence[Target],
    now: datetime,
    memory: Memory | None,
    limits: EventLimits,
) -> _Planned | Unshown:
    try:
        decoded = decode(line.decode())
    except UnicodeDecodeError as error:
        return Unshown(number, f"is no JSON: not UTF-8 at byte {error.start + 1}")
    if isinstance(decoded, Undecodable):
        return Unshown(number, f"is no JSON: {decoded.reason}")
    value = decoded.value
    message_id = value.get("messageId") if isinstance(value, dict) else None
    event = received(decoded, line, limits, now)
    if isinstance(event, MalformedEvent):
        return _Planned(message_id, malformed=event.reason)
    result = plan(event, targets, now, memory)
    if memory is not None:
        memory.learn(subjects_of(event.payload), result.lessons)
    return _Planned(message_id, result)


def _shown(planned: _Planned, targets: Sequence[Target], *, explain: bool) -> Previewed:
    """The line; its last parts are there only where there is something to say, or if asked for."""
    result = planned.plan
    rejections = [asdict(note) for note in result.rejections]
    if planned.malformed is not None:
        of_none = dict.fromkeys(("destination", "mapping", "field"))
        rejections = [{**of_none, "reason": planned.malformed}]
    parts: dict[str, object] = {
        "messageId": _as_sent(planned.message_id),
        "deliveries": _deliveries(result, targets),
        "warnings": [asdict(note) for note in result.warnings],
        "rejections": rejections,
    }
    if result.suppressions:
        parts["suppressions"] = [asdict(note) for note in result.suppressions]
    if explain:
        parts["explanation"] = [asdict(note) for note in _explanation(result)]
    return Previewed(orjson.dumps(parts).decode())


def _explanation(result: Plan) -> tuple[Note, ...]:
    """What came between the mapping and what is sent."""
    return (*result.suppressions, *result.filled, *result.shared)


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


def _as_sent(value: Json) -> orjson.Fragment:
    """The value with all its digits: orjson writes integers of 64 bits only."""
    try:
        return orjson.Fragment(orjson.dumps(value))
    except orjson.JSONEncodeError:
        return orjson.Fragment(json.dumps(value, ensure_ascii=False, allow_nan=False))
