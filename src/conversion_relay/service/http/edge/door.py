"""Who may stay connected, and for how long: the bounds of one connection, and of all together.

When too many are connected, whoever waited longest without a complete request gives way. Knows
neither sockets nor HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

_LEAVING: Final = 64
"""So many beside those who may stay are told why they have to go; others are cut off."""


class Guest(Protocol):
    """A connection."""

    def give_way(self) -> None:
        """Leaves at once."""
        ...


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """Bounds of one connection.

    Attributes:
        max_header_bytes: of the request line and the header fields of a request.
        max_header_fields: how many fields.
        max_pipelined: how many requests may be sent ahead of their answers.
        head_seconds: from a request's first byte to the end of its header fields.
        receive_seconds: from a request's first byte to its last, and for an answer to be taken.
        linger_seconds: for a client to see the answer to what was not received as a whole.
    """

    max_header_bytes: int
    receive_seconds: float
    head_seconds: float
    max_header_fields: int = 100
    max_pipelined: int = 16
    linger_seconds: float = 2.0


@dataclass(slots=True)
class Door:
    """Keeps the list of who waits.

    Attributes:
        limits: of one connection.
        max_connections: at a time.
        turned_away: called with the slug of the problem for each that is sent away.
    """

    limits: DoorLimits
    max_connections: int
    turned_away: Callable[[str], None]
    _waiting: dict[Guest, None] = field(default_factory=dict)

    def is_overrun(self, connected: int) -> bool:
        """Whether nobody more can be told why: who is told takes a file until he has gone."""
        return connected > self.max_connections + _LEAVING

    def has_room_for(self, connected: int) -> bool:
        """Whether so many may be connected, perhaps because somebody gives way."""
        if connected <= self.max_connections:
            return True
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self.leave(longest)
        self.turned_away("too-many-connections")
        longest.give_way()
        return True

    def wait(self, guest: Guest) -> None:
        """It has no complete request from now on; if it had none before, nothing changes."""
        self._waiting.setdefault(guest)

    def begin(self, guest: Guest) -> None:
        """A request of it begins: if it has waited, it waits from now on."""
        if guest in self._waiting:
            del self._waiting[guest]
            self._waiting[guest] = None

    def leave(self, guest: Guest) -> None:
        """It has a complete request, or is gone."""
        self._waiting.pop(guest, None)
