"""What a store keeps about persons, and what it says of erasing them. Knows no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from conversion_relay.core.delivery import State
from conversion_relay.core.plan import PlannedDelivery

ANY_KEY: Final = "any"
"""Counted of every conversion: whether it carries a match key at all."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Match keys to remember for each of an event's subjects.

    They are merged over what is remembered for that source, destination and subject, as
    `match_keys.merged` says (nothing of another person stays); all of it is kept until the newer
    `expires_at`. Of a subject that is nobody (`match_keys.is_somebody`) nothing is remembered.

    Attributes:
        destination: whose match keys they are.
        keys: by kind, such as "email", what the destination would send.
        expires_at: aware.
    """

    destination: str
    keys: Mapping[str, str] = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeyCount:
    """Whether one event's deliveries to a destination carry a match key.

    Attributes:
        destination: whose.
        key: its kind, such as "email".
        before: how many carried it as they came; a bool counts as 0 or 1.
        after: how many carry it once what is remembered was filled in.
    """

    destination: str
    key: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class KeyCounted:
    """How many events of a day carried a match key, before and after it was filled in.

    Attributes:
        day: in UTC, on which the events were received.
        events: how many were counted.
    """

    day: date
    destination: str
    key: str
    events: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was erased of a user, or would be.

    Attributes:
        events: whatever became of them.
        originals: how many of these events still had the bytes as they came.
        deliveries: by the state they were in.
        match_keys: how many were remembered.
    """

    events: int = 0
    originals: int = 0
    deliveries: Mapping[State, int] = field(default_factory=dict)
    match_keys: int = 0

    @property
    def in_flight(self) -> int:
        """Deliveries that a worker had at that moment: they may still arrive."""
        return self.deliveries.get(State.CLAIMED, 0)

    def plus(self, other: Forgotten) -> Forgotten:
        """Both together."""
        states = self.deliveries.keys() | other.deliveries.keys()
        return Forgotten(
            self.events + other.events,
            self.originals + other.originals,
            {
                state: self.deliveries.get(state, 0) + other.deliveries.get(state, 0)
                for state in sorted(states, key=lambda state: state.value)
            },
            self.match_keys + other.match_keys,
        )


def key_counts(deliveries: Sequence[PlannedDelivery]) -> tuple[KeyCount, ...]:
    """Which match keys these carry, and would have carried without memory."""
    if len(deliveries) == 1:
        return _counts(deliveries[0].destination, deliveries[0].keys, deliveries[0].filled)
    return tuple(
        count for one in deliveries for count in _counts(one.destination, one.keys, one.filled)
    )


@lru_cache(maxsize=4096)
def _counts(
    destination: str, keys: frozenset[str], filled: frozenset[str]
) -> tuple[KeyCount, ...]:
    """There are few of these, and many events."""
    before = keys - filled
    return (
        KeyCount(destination, ANY_KEY, bool(before), bool(keys)),
        *(KeyCount(destination, key, key in before, after=1) for key in sorted(keys)),
    )
