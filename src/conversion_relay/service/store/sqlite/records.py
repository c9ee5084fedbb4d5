"""What the database says of itself: counts, records, lanes. Only reads; knows no thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import apsw
import orjson

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition
from conversion_relay.service.store.port import DeliveryRecord, Disposition, LaneRecord, Totals
from conversion_relay.service.store.records import DeliveryRow, delivery_record, optional_moment
from conversion_relay.service.store.sqlite.ledger import events_of
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds


def next_due(connection: apsw.Connection, destination: str, kept_back: str) -> datetime | None:
    """When the next delivery is due or the next lease ends, without the ids kept back."""
    asked = {"destination": destination, "kept_back": kept_back}
    number = connection.execute(QUERIES["next_due"], asked).get
    return optional_moment(number)


def totals(connection: apsw.Connection) -> Totals:
    """Counts over all that is kept."""
    events, deliveries = connection.execute(QUERIES["totals"]).get
    return Totals(
        {Disposition(name): count for name, count in orjson.loads(events)},
        {(name, State(state)): count for name, state, count in orjson.loads(deliveries)},
    )


def deliveries_of(
    connection: apsw.Connection, message_ids: Sequence[str]
) -> tuple[DeliveryRecord, ...]:
    """The deliveries of these events."""
    events = orjson.dumps(events_of(connection, message_ids)).decode()
    found = connection.execute(QUERIES["deliveries_of"], {"events": events}).get
    rows = orjson.loads(found.decode(errors="replace"))
    return tuple(delivery_record(DeliveryRow(*row)) for row in rows)


def keep_lane(connection: apsw.Connection, lane: LaneRecord) -> None:
    """Remember how a lane is, inside a transaction."""
    since = None if lane.since is None else to_microseconds(lane.since)
    values = (lane.destination, lane.credential, lane.condition.value, since, lane.reason)
    connection.execute(QUERIES["keep_lane"], values)


def lanes(connection: apsw.Connection) -> tuple[LaneRecord, ...]:
    """How the lanes were when they were kept last."""
    found: str = connection.execute(QUERIES["lanes"]).get
    return tuple(
        LaneRecord(destination, credential, Condition(condition), optional_moment(since), reason)
        for destination, credential, condition, since, reason in orjson.loads(found)
    )
