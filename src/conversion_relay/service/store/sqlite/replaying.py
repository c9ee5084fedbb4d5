"""Sending again what is kept, and discarding it: inside a transaction. Knows no thread.

What was seen may be out of date by the time it is written, so every statement asks again whether
it still holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

import apsw
import orjson

from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.sealing import Packing, Sealer
from conversion_relay.service.store.port import (
    DeliveryRecord,
    Requeue,
    kept_event_id,
)
from conversion_relay.service.store.requeues import DISCARDABLE, REPLAYABLE, Identity, first_made
from conversion_relay.service.store.rows import EnvelopeKey, worth_of
from conversion_relay.service.store.sqlite.ingest import Ingest
from conversion_relay.service.store.sqlite.ledger import event_known_as, know_as
from conversion_relay.service.store.sqlite.memory import count
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.times import to_microseconds

Values: TypeAlias = dict[str, str | int | bytes | None]


_REPLAYABLE: Final = orjson.dumps(REPLAYABLE).decode()
_DISCARDABLE: Final = orjson.dumps(DISCARDABLE).decode()


@dataclass(frozen=True, slots=True)
class Replaying:
    """Used by the one connection that writes.

    Attributes:
        ingest: hands out the ids of deliveries and envelopes.
        sealer: of bodies.
    """

    ingest: Ingest
    sealer: Sealer

    def requeue(
        self, connection: apsw.Connection, requeues: Sequence[Requeue], now: datetime
    ) -> tuple[bool, ...]:
        """Make these pending and due; says of each, in order, whether that was done."""
        planned = [one.planned for one in requeues if one.planned is not None]
        envelopes = self.ingest.envelopes_of(planned)
        _keep_envelopes(connection, envelopes)
        identities = _identities(connection, [one.event for one in requeues])
        step = _Step(connection, self.sealer, envelopes, to_microseconds(now))
        done: list[bool] = []
        numbers = self.ingest.next_deliveries(len(requeues))
        for number, requeue in zip(numbers, requeues, strict=True):
            identity = identities.get(requeue.event)
            done.append(identity is not None and step.requeue(requeue, identity, number))
        carried_out = (one for one, is_done in zip(requeues, done, strict=True) if is_done)
        count(connection, first_made(carried_out, identities))
        return tuple(done)


def discard(
    connection: apsw.Connection, deliveries: Sequence[int], reason: str, now: datetime
) -> frozenset[int]:
    """Suppress what is dead, uncertain or held among these; gives which that were."""
    values: Values = {
        "deliveries": orjson.dumps(list(deliveries)).decode(),
        "before": _DISCARDABLE,
        "reason": reason,
        "now": to_microseconds(now),
    }
    return frozenset(row[0] for row in connection.execute(QUERIES["discard"], values))


@dataclass(frozen=True, slots=True)
class _Step:
    """One transaction of a replay."""

    connection: apsw.Connection
    sealer: Sealer
    envelopes: dict[EnvelopeKey, int]
    now: int

    def requeue(self, requeue: Requeue, identity: Identity, number: int) -> bool:
        """Whether it was done; `number` is the id of a delivery that is new."""
        if not self._may_be_known_as(requeue, identity):
            return False
        if not self._change(*self._statement(requeue, identity, number)):
            return False
        self._know_as(requeue, identity)
        self._change("now_planned", {"event": requeue.event})
        return True

    def _statement(self, requeue: Requeue, identity: Identity, number: int) -> tuple[str, Values]:
        """The query that does it, with its values."""
        values: Values = {"event": requeue.event, "now": self.now}
        if requeue.planned is None:
            return "requeue_as_sent", values | _as_seen(requeue.replaced)
        values |= self._content(requeue.planned, identity)
        if requeue.replaced is None:
            destination = requeue.planned.destination
            return "deliver_also", values | {"id": number, "destination": destination}
        return "requeue_planned", values | _as_seen(requeue.replaced)

    def _content(self, planned: PlannedDelivery, identity: Identity) -> Values:
        micros, currency = worth_of(planned)
        return {
            "envelope": self.envelopes[planned.destination, planned.envelope],
            "travels_in": planned.envelope,
            "mapping": planned.mapping,
            "event_name": planned.event_name,
            "event_id": kept_event_id(planned.event_id),
            "body": self.sealer.seal(planned.body, identity.context(planned), Packing.PLAIN),
            "value_micros": micros,
            "currency": currency,
        }

    def _may_be_known_as(self, requeue: Requeue, identity: Identity) -> bool:
        if requeue.message_id is None:
            return True
        owner = event_known_as(self.connection, requeue.message_id, identity.source)
        return owner in {None, requeue.event}

    def _know_as(self, requeue: Requeue, identity: Identity) -> None:
        """From now on a copy that comes under this id is a duplicate."""
        name, source = requeue.message_id, identity.source
        if name is not None and event_known_as(self.connection, name, source) is None:
            know_as(self.connection, (name, source, identity.received_at, requeue.event))

    def _change(self, query: str, values: Values) -> bool:
        self.connection.execute(QUERIES[query], values)
        return self.connection.changes() > 0


def _as_seen(record: DeliveryRecord | None) -> Values:
    """The delivery, as long as nothing happened to it since."""
    if record is None:
        return {"id": None, "state": None, "attempts": None, "before": _REPLAYABLE}
    return {
        "id": record.id,
        "state": record.state.value,
        "attempts": record.attempts,
        "before": _REPLAYABLE,
    }


def _keep_envelopes(connection: apsw.Connection, envelopes: dict[EnvelopeKey, int]) -> None:
    for (destination, envelope), number in envelopes.items():
        connection.execute(QUERIES["keep_envelope"], (number, destination, envelope))


def _identities(connection: apsw.Connection, events: Sequence[int]) -> dict[int, Identity]:
    asked = orjson.dumps(sorted(set(events))).decode()
    rows = connection.execute(QUERIES["identities"], {"events": asked})
    return {row[0]: Identity(*row[1:]) for row in rows}
