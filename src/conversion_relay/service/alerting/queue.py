"""What waits for one channel, as values that change by what happens. Knows no channel, no time.

For each alert the order stays. Newer news of the same alert takes the place of older that was not
sent: who hears of it late hears what holds now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from conversion_relay.service.alerting.alert import News
from conversion_relay.service.alerting.channel import Message

HORIZON: Final = timedelta(hours=24)
"""How long a message is tried."""
LONGEST_ASKED_PAUSE: Final = timedelta(hours=1)
"""However long a pause a receiver asks for."""
MOST_WAITING: Final = 500
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=10)
_MOST_DOUBLINGS: Final = 20
About: TypeAlias = tuple[str, str]
"""A rule and its subject."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that was not sent yet.

    Attributes:
        message: what is sent.
        since: when it came in.
        due: not before then.
        tries: that failed.
    """

    message: Message
    since: datetime
    due: datetime
    tries: int = 0

    @property
    def about(self) -> About:
        """Which alert it is of."""
        finding = self.message.notification.alert.finding
        return finding.rule, finding.subject

    def is_due(self, now: datetime) -> bool:
        """Whether it may be tried; a due time that no pause explains: the clock was set back."""
        return self.due <= now or self.due - now > LONGEST_ASKED_PAUSE

    def is_news_of(self, other: Waiting) -> bool:
        """Whether both are of the same occurrence of the same alert."""
        mine, theirs = self.message.notification.alert, other.message.notification.alert
        return self.about == other.about and mine.opened_at == theirs.opened_at


@dataclass(slots=True)
class Queue:
    """What waits for a channel, in order.

    Attributes:
        most: so many messages, at most.
    """

    most: int = MOST_WAITING
    _waiting: list[Waiting] = field(default_factory=list)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._waiting))

    def add(self, message: Message, now: datetime) -> Waiting | None:
        """Puts it at the end; gives the oldest one, which is given up, if there are too many."""
        new = Waiting(message, now, now)
        older = [one for one in self._waiting if one.is_news_of(new)]
        self._waiting = [one for one in self._waiting if one not in older]
        self._waiting.append(_instead_of(older, new))
        return self._waiting.pop(0) if len(self._waiting) > self.most else None

    def next(self, now: datetime) -> Waiting | None:
        """The first message that is due; none of an alert whose earlier one waits."""
        return next((one for one in self._firsts() if one.is_due(now)), None)

    def next_due(self, now: datetime) -> datetime | None:
        """When one will be; None: nothing waits."""
        return min((now if one.is_due(now) else one.due for one in self._firsts()), default=None)

    def sent(self, sent: Waiting, now: datetime) -> None:
        """It got there; if it had failed before, the others need not wait any longer either."""
        rest = [one for one in self._waiting if one.message.id != sent.message.id]
        self._waiting = [replace(one, due=now) for one in rest] if sent.tries else rest

    def failed(self, failed: Waiting, now: datetime, pause: timedelta) -> Waiting | None:
        """It waits again, unless it did for too long: then it is gone, and given."""
        later = replace(failed, due=now + pause, tries=failed.tries + 1)
        given_up = now + pause - failed.since > HORIZON
        kept = [] if given_up else [later]
        self._waiting = [
            new
            for one in self._waiting
            for new in (kept if one.message.id == failed.message.id else [one])
        ]
        return later if given_up else None

    def _firsts(self) -> Iterator[Waiting]:
        seen: set[About] = set()
        for one in self._waiting:
            if one.about not in seen:
                seen.add(one.about)
                yield one


def pause_after(tries: int, jitter: float) -> timedelta:
    """How long to wait after so many failed tries: doubled each time, a half of it by chance."""
    doubled: timedelta = _FIRST_PAUSE * 2 ** min(tries, _MOST_DOUBLINGS)
    return min(doubled, _LONGEST_PAUSE) * (0.5 + 0.5 * jitter)


def _instead_of(older: list[Waiting], new: Waiting) -> Waiting:
    """The newer one; what was never told is told as opened, and what failed goes on waiting."""
    if not older:
        return new
    notification = new.message.notification
    untold = any(one.message.notification.news is News.OPENED for one in older)
    if untold and notification.news is News.STILL_OPEN:
        notification = replace(notification, news=News.OPENED)
        new = replace(new, message=Message.of(notification))
    return replace(new, due=max(one.due for one in older), tries=max(one.tries for one in older))
