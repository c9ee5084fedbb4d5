"""Events, deliveries and settlements of an invented shop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from conversion_relay.core.delivery import Cause, State, Transition
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.store.port import (
    ClaimedDelivery,
    Disposition,
    NewEvent,
    Settlement,
)

NOW = datetime(2026, 1, 14, 9, 30, 0, 123456, tzinfo=UTC)
LEASE = timedelta(seconds=60)
WEB = "web|PIXEL"
APP = "app|TTAPP"


def delivery(
    message_id: str,
    destination: str = "tiktok",
    envelope: str = WEB,
    body: bytes | None = None,
) -> PlannedDelivery:
    return PlannedDelivery(
        destination=destination,
        mapping="Order Completed",
        envelope=envelope,
        event_name="CompletePayment",
        event_id=message_id,
        body=body if body is not None else b'{"event_id":"%s"}' % message_id.encode(),
    )


def event(
    message_id: str,
    *deliveries: PlannedDelivery,
    source: str = "default",
    received_at: datetime = NOW,
    original: bytes = b'{"type":"track"}',
) -> NewEvent:
    """A planned event; with no deliveries named, one to `tiktok`."""
    return NewEvent(
        source=source,
        message_id=message_id,
        type="track",
        received_at=received_at,
        original=original,
        disposition=Disposition.PLANNED,
        deliveries=deliveries or (delivery(message_id),),
    )


def delivered(claim: ClaimedDelivery) -> Settlement:
    return Settlement(claim.id, claim.fence, Transition(State.DELIVERED, Cause.ACCEPTED))


def retried(
    claim: ClaimedDelivery, due_at: datetime, unknown_at: datetime | None = None
) -> Settlement:
    transition = Transition(State.PENDING, Cause.DEFERRED, due_at, "busy", unknown_at)
    return Settlement(claim.id, claim.fence, transition)
