"""What a channel is, and what it says of a message. Knows no channel."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from conversion_relay.service.alerting.alert import Notification


@dataclass(frozen=True, slots=True)
class Message:
    """A notification on its way through a channel.

    Attributes:
        id: the same at every try, so that who gets it twice can tell.
        notification: what is said.
    """

    id: str
    notification: Notification

    @staticmethod
    def of(notification: Notification) -> Message:
        """The message of this notification; its id follows from what is said of which alert."""
        alert = notification.alert
        said = (
            alert.finding.rule,
            alert.finding.subject,
            alert.opened_at.isoformat(),
            notification.news.value,
            notification.at.isoformat(),
        )
        return Message(f"msg_{hashlib.sha256(repr(said).encode()).hexdigest()[:32]}", notification)


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side has it; `note` says what of it did not go well."""

    note: str | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """It did not get there this time.

    Attributes:
        reason: in words that hold no address, token or text of the other side.
        after_seconds: it asked for so long a pause; None: it did not.
    """

    reason: str
    after_seconds: float | None = None


Result: TypeAlias = Sent | NotSent


class Channel(Protocol):
    """A way to people. Two with the same settings are equal."""

    @property
    def kind(self) -> str:
        """What it is: slack, webhook or email."""
        ...

    @property
    def host(self) -> str:
        """Where it leads, without the path, which may be a secret."""
        ...

    def __hash__(self) -> int:
        """By its settings."""
        ...

    async def send(self, message: Message) -> Result:
        """What came of it, within seconds; raises nothing the other side can cause."""
        ...
