"""The life of one delivery: what may come back from the wire, and what happens next.

Pure: the present and the jitter are arguments. Knows no partner and no store.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeAlias, assert_never

_MOST_DOUBLINGS = 20
"""Past these the cap has long been reached, and a pause would outgrow what a timedelta holds."""


_MAY_HAVE_ARRIVED = "an earlier send may have arrived, and a copy would count again"


class State(Enum):
    """Where a delivery is."""

    PENDING = "pending"  # waits for its due time
    CLAIMED = "claimed"  # a worker has it, until its lease ends
    DELIVERED = "delivered"  # the partner has it
    DEAD = "dead"  # refused for good, or past the horizon
    UNCERTAIN = "uncertain"  # may have arrived, and is too old for a copy to be recognised


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
    not_before: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """Refused together with others, with no word about which: each half has to go alone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been taken or not: bytes were sent and no readable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class CredentialProblem:
    """Refused for a reason that lies in the credentials or settings, not in the event."""

    reason: str


Outcome: TypeAlias = Accepted | Refused | Deferred | Suspect | Unknown | CredentialProblem


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a delivery before this outcome.

    Attributes:
        attempts: how often it was sent, this time included.
        accepted_at: when the service took the event on.
        first_unknown_at: the first send whose outcome is not known, or None.
        recognisable: it carries an id by which the partner recognises a copy; without one it is
            never sent again after an unknown outcome.
    """

    attempts: int
    accepted_at: datetime
    first_unknown_at: datetime | None = None
    recognisable: bool = True


@dataclass(frozen=True, slots=True)
class Transition:
    """What a delivery becomes.

    Attributes:
        state: the new state; never CLAIMED.
        due_at: when to try again; None for a final state.
        reason: the partner's or the wire's words; None when delivered without a note.
        first_unknown_at: carried on for the 48-hour rule.
    """

    state: State
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
        credential_pause: between tries while the credentials are refused.
        recognition: how long the partner recognises a copy: 48 hours.
            Source: business-api.tiktok.com, "Event deduplication" (read 2026-11-21).
    """

    base: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(seconds=30)
    horizon: timedelta = timedelta(days=7)
    credential_pause: timedelta = timedelta(seconds=20)
    recognition: timedelta = timedelta(hours=48)

    def before_sending(self, history: History, now: datetime) -> Transition | None:
        """What a claimed delivery becomes instead of being sent, or None: it may go.

        One that may have arrived goes again only while a copy would be recognised, however long
        the service was down in between.
        """
        unknown = history.first_unknown_at
        if unknown is None or now - unknown < self._window(history):
            return None
        return Transition(State.UNCERTAIN, reason=_MAY_HAVE_ARRIVED, first_unknown_at=unknown)

    def settle(
        self, outcome: Outcome, history: History, now: datetime, jitter: float
    ) -> Transition:
        """What a delivery becomes; `jitter` is uniform in [0, 1)."""
        match outcome:
            case Accepted(note):
                return Transition(State.DELIVERED, reason=note)
            case Refused(reason):
                return Transition(State.DEAD, reason=reason)
            case Deferred(reason, not_before):
                pause = max(not_before or timedelta(), self._pause(history.attempts, jitter))
                return self._again(reason, pause, history, now)
            case Suspect(reason):
                return self._again(reason, timedelta(), history, now)
            case Unknown(reason):
                return self._unknown(reason, self._pause(history.attempts, jitter), history, now)
            case CredentialProblem(reason):
                return self._credential(reason, history, now, jitter)
            case _:
                assert_never(outcome)

    def _window(self, history: History) -> timedelta:
        """How long after a send with unknown outcome a copy is recognised."""
        return self.recognition if history.recognisable else timedelta()

    def _pause(self, attempts: int, jitter: float) -> timedelta:
        doublings = min(max(attempts - 1, 0), _MOST_DOUBLINGS)
        return min(self.cap, self.base * (1 << doublings)) * jitter

    def _again(self, reason: str, pause: timedelta, history: History, now: datetime) -> Transition:
        due_at = now + pause
        unknown = history.first_unknown_at
        if unknown is not None and due_at - unknown >= self._window(history):
            return Transition(State.UNCERTAIN, reason=reason, first_unknown_at=unknown)
        if due_at - history.accepted_at >= self.horizon:
            return Transition(State.DEAD, reason=reason, first_unknown_at=unknown)
        return Transition(State.PENDING, due_at, reason, unknown)

    def _unknown(
        self, reason: str, pause: timedelta, history: History, now: datetime
    ) -> Transition:
        first = history.first_unknown_at or now
        seen = replace(history, first_unknown_at=first)
        return self._again(reason, pause, seen, now)

    def _credential(
        self, reason: str, history: History, now: datetime, jitter: float
    ) -> Transition:
        due_at = now + self.credential_pause * (0.75 + jitter / 2)
        return Transition(State.PENDING, due_at, reason, history.first_unknown_at)
