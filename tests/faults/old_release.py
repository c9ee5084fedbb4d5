"""A database as the first release left it: schema 1, with a backlog that was never sent.

Written without the store of today, so that the layout of then stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import orjson

from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.plan import PlannedDelivery, plan
from conversion_relay.core.values import JsonObject
from conversion_relay.service.app import now
from conversion_relay.service.sealing import Packing, Sealer, binding, load_or_create_keys
from conversion_relay.service.store.sqlite import schema
from faults.judge import targets

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AGE = timedelta(hours=1)
_EVENT = """
INSERT INTO events VALUES (:number, 'default', :name, 'track', :at, 'planned', NULL, NULL, NULL)
"""
_ORIGINAL = "INSERT INTO originals VALUES (:number, :number, :original)"
_LEDGER = "INSERT INTO ledger VALUES (:name, 'default', :at, :number)"
_DELIVERY = """
INSERT INTO deliveries
    (event, envelope, mapping, event_name, event_id, accepted_at, state, due_at, body)
VALUES (:number, 1, :mapping, :event_name, :event_id, :at, 'pending', :at, :body)
"""


def write_backlog(path: Path, events: Sequence[JsonObject]) -> None:
    """Makes the database, its key and these events, each with its delivery still to come."""
    path.parent.mkdir(mode=0o700, parents=True)
    sealer = Sealer(load_or_create_keys(None, path))
    connection = apsw.Connection(str(path))
    path.chmod(0o600)
    connection.pragma("page_size", 8_192)
    connection.pragma("journal_mode", "wal")
    (first,) = (one for one in schema.migrations() if one.version == 1)
    with connection:
        connection.execute(first.script)
        connection.pragma("user_version", first.version)
        proof = sealer.seal(b"this key sealed here", binding("proof", sealer.key_id))
        connection.execute("INSERT INTO sealing_keys VALUES (?, ?)", (sealer.key_id, proof))
        planned = list(_planned(events))
        _, some = planned[0]
        connection.execute(
            "INSERT INTO envelopes VALUES (1, ?, ?)", (some.destination, some.envelope)
        )
        at = (now() - _AGE - _EPOCH) // timedelta(microseconds=1)
        for number, (event, delivery) in enumerate(planned, start=1):
            values = _values(sealer, number, event, delivery) | {"at": at}
            for statement in (_EVENT, _ORIGINAL, _LEDGER, _DELIVERY):
                connection.execute(statement, values)
    connection.close()


def _planned(events: Sequence[JsonObject]) -> Iterator[tuple[JsonObject, PlannedDelivery]]:
    made_for = targets()
    for event in events:
        parsed = SegmentEvent.parse(event)
        assert isinstance(parsed, SegmentEvent)
        (delivery,) = plan(parsed, made_for, now()).deliveries
        yield event, delivery


def _values(
    sealer: Sealer, number: int, event: JsonObject, delivery: PlannedDelivery
) -> dict[str, str | int | bytes | None]:
    name, original = str(event["messageId"]), orjson.dumps(event)
    index = orjson.dumps([["default", name, len(original)]])
    context = binding("body", "default", name, delivery.destination, delivery.mapping)
    return {
        "number": number,
        "name": name,
        "original": sealer.seal(index + b"\n" + original, binding("originals", number, number)),
        "mapping": delivery.mapping,
        "event_name": delivery.event_name,
        "event_id": delivery.event_id,
        "body": sealer.seal(delivery.body, context, Packing.PLAIN),
    }
