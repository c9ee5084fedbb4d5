"""Counts and logs how requests to a destination ended, and the deliveries in them.

Of what was written down already: it decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from conversion_relay.core.delivery import Accepted, Outcome, State, Transition
from conversion_relay.service.attribution import shown_id
from conversion_relay.service.store.port import ClaimedDelivery, RequestRecord
from conversion_relay.service.surroundings import Surroundings

_SAD_ENDS: Final = {State.DEAD: "delivery.dead", State.UNCERTAIN: "delivery.uncertain"}


def note_request(
    around: Surroundings,
    request: RequestRecord,
    batch: Sequence[ClaimedDelivery],
    outcomes: Sequence[Outcome],
) -> None:
    """One line for each request, and a count."""
    around.metrics.count_request(request)
    details: dict[str, object] = {
        "destination": request.destination,
        "events": request.events,
        "status": request.status,
        "code": request.code,
        "request_id": request.request_id,
    }
    if len(batch) == 1:
        details["message_id"] = shown_id(batch[0].message_id)
    if request.reason is not None:
        around.log.warning(
            "delivery.failed", result=request.result, reason=request.reason, **details
        )
        return
    notes = {outcome.note for outcome in outcomes if isinstance(outcome, Accepted)} - {None}
    around.log.info("delivery.accepted", **details, notes=sorted(notes, key=str))


def note_end(
    around: Surroundings, delivery: ClaimedDelivery, end: Transition, now: datetime
) -> None:
    """A count for each attempt that ended, and a line for each event that is given up."""
    around.metrics.count_settled(delivery, end.state.value)
    if end.state is State.DELIVERED:
        around.metrics.count_delivered(delivery, now)
    if end.state in _SAD_ENDS:
        around.log.error(
            _SAD_ENDS[end.state],
            destination=delivery.destination,
            mapping=delivery.mapping,
            event_name=around.metrics.event_name(delivery),
            message_id=shown_id(delivery.message_id),
            reason=end.reason,
        )
