"""What sending again and discarding have in common, whatever the engine. Knows no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from conversion_relay.core.delivery import Cause, states_before
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.store.persons import KeyCount, key_counts
from conversion_relay.service.store.port import Requeue
from conversion_relay.service.store.rows import body_context
from conversion_relay.service.store.times import from_microseconds


def _states_before(cause: Cause) -> tuple[str, ...]:
    return tuple(sorted(state.value for state in states_before(cause)))


REPLAYABLE: Final = _states_before(Cause.REPLAYED)
DISCARDABLE: Final = _states_before(Cause.DISCARDED)
"""The states a delivery may be in, as they are kept."""


@dataclass(frozen=True, slots=True)
class Identity:
    """To what the sealed bodies of an event are bound, and when it was received."""

    source: str
    message_id: str
    received_at: int

    def context(self, planned: PlannedDelivery) -> bytes:
        """What the body of this delivery of the event is bound to."""
        return body_context(self.source, self.message_id, planned.destination, planned.mapping)


def first_made(
    requeues: Iterable[Requeue], identities: Mapping[int, Identity]
) -> Iterator[tuple[datetime, Sequence[KeyCount]]]:
    """The match keys of what was never made before; what is replaced was counted then."""
    for one in requeues:
        if one.planned is not None and one.replaced is None:
            received_at = from_microseconds(identities[one.event].received_at)
            yield received_at, key_counts((one.planned,))
