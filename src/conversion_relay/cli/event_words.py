"""What the commands of operators say of kept events: lists, and one event in full.

Its ids, names, states and reasons, its structure with values masked, and more only where that was
asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

import orjson
from pydantic import JsonValue
from rich import box
from rich.table import Table

from conversion_relay.cli.operator_words import escaped, plain, rendered
from conversion_relay.service.http.admin.shown import DeliveryShown, EventShown, RequestShown

Cell: TypeAlias = str | int | None
_OF_DELIVERIES: Final = {"body", "masked_body", "requests"}


def rows(events: Sequence[EventShown]) -> Iterator[dict[str, Cell]]:
    """One for each delivery that is meant, or for an event that has none."""
    for event in events:
        about: dict[str, Cell] = {
            "id": event.id,
            "receivedAt": event.received_at.isoformat(timespec="seconds"),
            "messageId": event.message_id,
        }
        meant = [one for one in event.deliveries if one.is_meant]
        for one in meant:
            yield {
                **about,
                "state": one.state.value,
                "destination": one.destination,
                "mapping": one.mapping,
                "event": one.event,
                "attempts": one.attempts,
                "reason": one.reason,
            }
        if not meant:
            yield {
                **about,
                "state": event.disposition.value,
                "destination": None,
                "mapping": None,
                "event": event.event,
                "attempts": 0,
                "reason": event.reason or "; ".join(_notes(event)) or None,
            }


def _notes(event: EventShown) -> list[str]:
    return [*event.rejections, *event.suppressions]


def table_of(events: Sequence[EventShown]) -> str:
    """The same for people."""
    found = list(rows(events))
    if not found:
        return "Nothing is kept that was asked for."
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in found[0]:
        table.add_column(name, justify="right" if name in {"id", "attempts"} else "left")
    for row in found:
        table.add_row(*("-" if cell is None else plain(str(cell)) for cell in row.values()))
    return rendered(table)


def portrait(event: EventShown) -> str:
    """Everything that is known of an event, and what was revealed."""
    lines = [f"event {event.id}: {plain(event.event or event.type or '(no event)')}"]
    lines += _facts(
        {
            "messageId": event.message_id,
            "source": event.source,
            "received": _moment(event.received_at),
            "became": event.disposition.value,
            "reason": event.reason,
        }
    )
    lines += [f"  rejected: {plain(one)}" for one in event.rejections]
    lines += [f"  suppressed: {plain(one)}" for one in event.suppressions]
    for delivery in event.deliveries:
        lines += _delivery(delivery)
    if event.original is not None:
        lines.append(f"  original: {escaped(event.original)}")
    elif event.masked_original is not None:
        lines.append(f"  original, masked: {_json(event.masked_original)}")
    return "\n".join(lines)


def metadata_line(event: EventShown) -> str:
    """One line of NDJSON without personal data."""
    told = event.model_dump_json(
        by_alias=True,
        exclude={
            "original": True,
            "masked_original": True,
            "deliveries": {"__all__": _OF_DELIVERIES},
        },
    )
    return escaped(told)


def original_line(event: EventShown) -> str | None:
    """What was received, in one line: between the parts of JSON a line break means nothing."""
    if event.original is None:
        return None
    text = event.original.removeprefix("\ufeff")
    return escaped(text.replace("\r", " ").replace("\n", " ").replace("\t", " "))


def _delivery(delivery: DeliveryShown) -> Iterator[str]:
    yield f"  delivery {delivery.id}: {delivery.state.value}"
    unknown = delivery.first_unknown_at
    facts = {
        "to": f"{delivery.destination}, by {delivery.mapping}, as {delivery.event}",
        "event_id": delivery.event_id,
        "attempts": str(delivery.attempts),
        "accepted": _moment(delivery.accepted_at),
        "last tried": _moment(delivery.settled_at) if delivery.settled_at else None,
        "may have arrived": _moment(unknown) if unknown else None,
        "reason": delivery.reason,
    }
    yield from (f"  {line}" for line in _facts(facts))
    yield from (f"    sent {_answered(one)}" for one in delivery.requests or ())
    if delivery.body is not None:
        yield f"    body: {escaped(delivery.body)}"
    elif delivery.masked_body is not None:
        yield f"    body, masked: {_json(delivery.masked_body)}"


def _answered(request: RequestShown) -> str:
    """What came back of a request in which the delivery travelled."""
    parts = (
        f"{_moment(request.sent_at)}: {request.result}",
        f"in {request.seconds:.1f} s",
        None if request.status is None else f"HTTP {request.status}",
        None if request.code is None else f"code {request.code}",
        None if request.request_id is None else f"request_id {request.request_id}",
        request.reason,
    )
    return plain(", ".join(part for part in parts if part is not None))


def _json(value: JsonValue) -> str:
    return escaped(orjson.dumps(value).decode())


def _facts(facts: Mapping[str, str | None]) -> list[str]:
    return [f"  {name}: {plain(value)}" for name, value in facts.items() if value is not None]


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
