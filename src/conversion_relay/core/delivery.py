"""The life of one delivery as a table: its states, what moves it between them, and the bounds.

Pure: the present and the jitter are arguments. Knows no partner, no store and no lane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, TypeAlias, assert_never

_MOST_DOUBLINGS = 20
"""Past these the cap has long been reached, and a pause would outgrow what a timedelta holds."""


_MAY_HAVE_ARRIVED = "an earlier send may have arrived, and a copy would count again"


class State(Enum):
    """Where a delivery is."""

    PENDING = "pending"  # waits for its due time
    CLAIMED = "claimed"  # a worker has it, until its lease ends
    DELIVERED = "delivered"  # the partner has it
    HELD = "held"  # met refused credentials or settings; goes on when its lane does
    UNCERTAIN = "uncertain"  # may have arrived, and is too old for a copy to be recognised
    DEAD = "dead"  # refused for good, or past the horizon
    SUPPRESSED = "suppressed"  # not to be sent, because somebody decided so


class Cause(Enum):
    """What moves a delivery from one state to another."""

    PLANNED = "planned"  # a mapping made it of an event
    CLAIMED = "claimed"  # a worker took it
    ACCEPTED = "accepted"  # the partner has it
    REFUSED = "refused"  # the partner will never take it
    DEFERRED = "deferred"  # certainly not taken this time
    SUSPECTED = "suspected"  # refused together with others
    UNKNOWN = "unknown"  # may have been taken
    CREDENTIALS = "credentials"  # the partner refuses the credentials or the settings
    LEASE_ENDED = "lease_ended"  # the worker that had it is gone or too slow
    PAST_RECOGNITION = "past_recognition"  # a copy would count again
    PAST_HORIZON = "past_horizon"  # tried for so long, and still not taken
    UNREADABLE = "unreadable"  # what is stored of it is damaged
    RESUMED = "resumed"  # its lane goes on
    REPLAYED = "replayed"  # a person sends it again
    DISCARDED = "discarded"  # a person decided that it shall not be sent


LIFE: Final[Mapping[tuple[State | None, Cause], State]] = {
    (None, Cause.PLANNED): State.PENDING,
    (State.PENDING, Cause.CLAIMED): State.CLAIMED,
    (State.HELD, Cause.CLAIMED): State.CLAIMED,  # the probe of a held lane
    (State.CLAIMED, Cause.ACCEPTED): State.DELIVERED,
    (State.CLAIMED, Cause.REFUSED): State.DEAD,
    (State.CLAIMED, Cause.DEFERRED): State.PENDING,
    (State.CLAIMED, Cause.SUSPECTED): State.PENDING,
    (State.CLAIMED, Cause.UNKNOWN): State.PENDING,
    (State.CLAIMED, Cause.CREDENTIALS): State.HELD,
    (State.CLAIMED, Cause.LEASE_ENDED): State.PENDING,
    (State.CLAIMED, Cause.PAST_RECOGNITION): State.UNCERTAIN,
    (State.CLAIMED, Cause.PAST_HORIZON): State.DEAD,
    (State.CLAIMED, Cause.UNREADABLE): State.DEAD,
    (State.HELD, Cause.RESUMED): State.PENDING,
    (State.PENDING, Cause.REPLAYED): State.PENDING,
    (State.HELD, Cause.REPLAYED): State.PENDING,
    (State.UNCERTAIN, Cause.REPLAYED): State.PENDING,
    (State.DEAD, Cause.REPLAYED): State.PENDING,
    (State.SUPPRESSED, Cause.REPLAYED): State.PENDING,
    (State.HELD, Cause.DISCARDED): State.SUPPRESSED,
    (State.UNCERTAIN, Cause.DISCARDED): State.SUPPRESSED,
    (State.DEAD, Cause.DISCARDED): State.SUPPRESSED,
}
"""Every move there is; what is not here does not happen. DELIVERED has no way out."""


def states_before(cause: Cause) -> frozenset[State]:
    """The states a delivery may be in when this cause meets it."""
    return frozenset(state for state, known in LIFE if known is cause and state is not None)


@dataclass(frozen=True, slots=True)
class WireResponse:
    """An answer of the partner: status, the first bytes of the body, seconds of Retry-After."""

    status: int
    body: bytes = field(repr=False)
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """No answer.

    Attributes:
        certain: the request cannot have reached the partner (no connection was made).
        reason: what failed, in a few words, without addresses or bodies.
    """

    certain: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The partner has the event; `note` holds what is worth logging of its answer."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The partner will never take this event."""

    reason: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Certainly not taken this time; later it may be."""

    reason: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """Certainly not taken, because too much is sent: the whole lane waits, and slows down."""

    reason: str
    not_before: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """Refused together with others, with no word about which: each half has to go alone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Companion:
    """Refused only because another one in the request was, which the partner named."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been taken or not: bytes were sent and no readable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class CredentialProblem:
    """Refused for a reason that lies in the credentials or settings, not in the event.

    Attributes:
        reason: the partner's or the wire's words.
        on_the_way: not the partner said so, but something in front of it, which may mean the
            event all the same.
    """

    reason: str
    on_the_way: bool = False


Outcome: TypeAlias = (
    Accepted | Refused | Companion | Suspect | Deferred | Throttled | Unknown | CredentialProblem
)


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a delivery before this outcome.

    Attributes:
        attempts: how often it was sent, this time included; probes of a lane do not count.
        accepted_at: when the service took the event on.
        sent_at: when this send began, which may be long before it ended; None: just now.
        first_unknown_at: the first send whose outcome is not known, or None.
        recognisable: it carries an id by which the partner recognises a copy; without one it is
            never sent again after an unknown outcome.
    """

    attempts: int
    accepted_at: datetime
    first_unknown_at: datetime | None = None
    recognisable: bool = True
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """What a delivery becomes.

    Attributes:
        state: the new state; never CLAIMED.
        cause: why; LIFE has the move.
        due_at: when to try again; PENDING only.
        reason: the partner's or the wire's words; None when delivered without a note.
        first_unknown_at: carried on for the 48-hour rule.
    """

    state: State
    cause: Cause
    due_at: datetime | None = None
    reason: str | None = None
    first_unknown_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again, and when to stop.

    Attributes:
        base: the bound of the first pause; it doubles with each attempt.
        cap: the longest pause.
        horizon: how long after its acceptance a delivery is tried.
        least_attempts: and at least so often: one that waited for its lane all the time gets its
            chances.
        recognition: how long the partner recognises a copy: 48 hours.
            Source: business-api.tiktok.com, "Event deduplication" (read 2026-11-21).
    """

    base: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(seconds=30)
    horizon: timedelta = timedelta(days=7)
    least_attempts: int = 3
    recognition: timedelta = timedelta(hours=48)

    def before_sending(self, history: History, now: datetime) -> Transition | None:
        """What a claimed delivery becomes instead of being sent, or None: it may go.

        One that may have arrived goes again only while a copy would be recognised, however long
        the service was down in between.
        """
        unknown = history.first_unknown_at
        if unknown is None or now - unknown < self._window(history):
            return None
        return _end(Cause.PAST_RECOGNITION, _MAY_HAVE_ARRIVED, unknown)

    def settle(
        self, outcome: Outcome, history: History, now: datetime, jitter: float
    ) -> Transition:
        """What a delivery becomes; `jitter` is uniform in [0, 1)."""
        unknown, pause = history.first_unknown_at, self._pause(history.attempts, jitter)
        match outcome:
            case Accepted(note):
                return _end(Cause.ACCEPTED, note)
            case Refused(reason):
                return _end(Cause.REFUSED, reason)
            case CredentialProblem(reason):
                return _end(Cause.CREDENTIALS, reason, unknown)
            case Deferred(reason) | Throttled(reason):
                return self._again(Cause.DEFERRED, reason, now + pause, history, now)
            case Suspect(reason) | Companion(reason):
                return self._again(Cause.SUSPECTED, reason, now, history, now)
            case Unknown(reason):
                seen = replace(history, first_unknown_at=unknown or history.sent_at or now)
                return self._again(Cause.UNKNOWN, reason, now + pause, seen, now)
            case _:
                assert_never(outcome)

    def _window(self, history: History) -> timedelta:
        """How long after a send with unknown outcome a copy is recognised."""
        return self.recognition if history.recognisable else timedelta()

    def _pause(self, attempts: int, jitter: float) -> timedelta:
        doublings = min(max(attempts - 1, 0), _MOST_DOUBLINGS)
        return min(self.cap, self.base * (1 << doublings)) * jitter

    def _again(
        self, cause: Cause, reason: str, due_at: datetime, history: History, now: datetime
    ) -> Transition:
        unknown = history.first_unknown_at
        if unknown is not None and due_at - unknown >= self._window(history):
            return _end(Cause.PAST_RECOGNITION, reason, unknown)
        too_old = now - history.accepted_at >= self.horizon
        if too_old and history.attempts >= self.least_attempts:
            return _end(Cause.PAST_HORIZON, reason, unknown)
        return Transition(LIFE[State.CLAIMED, cause], cause, due_at, reason, unknown)


def _end(cause: Cause, reason: str | None, first_unknown_at: datetime | None = None) -> Transition:
    """The move of a claimed delivery to a state in which it is not due."""
    return Transition(LIFE[State.CLAIMED, cause], cause, None, reason, first_unknown_at)
