"""Takes up what is kept as open: at a start, and when the duty to judge comes from another node.

With several nodes it looks at what is kept again and again, for another may have had an alert open
that it could not keep before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from conversion_relay.errors import StoreError
from conversion_relay.service.alerting.alert import Alert, News
from conversion_relay.service.monitor.books import Books
from conversion_relay.service.monitor.duty import Duty
from conversion_relay.service.monitor.heart import Heart
from conversion_relay.service.monitor.life import Told, adopted, taken_over
from conversion_relay.service.monitor.questions import Question
from conversion_relay.service.monitor.records import alert_of
from conversion_relay.service.monitor.telling import ANSWER_SECONDS
from conversion_relay.service.surroundings import Surroundings

_TRIES: Final = 3
_MOST_ALERTS: Final = 500
_MOST_ENDED: Final = 1_000
_Which: TypeAlias = tuple[str, str, datetime]


@dataclass(slots=True)
class Succession:
    """Says which alerts a node goes on with.

    Attributes:
        books: where they are kept.
        watch: the duty to judge.
        around: time and log.
        open: those that are kept as open, as far as is known; asked for with several nodes only.
    """

    books: Books
    watch: Duty
    around: Surroundings
    open: Sequence[Alert] = ()
    _tries_left: int = _TRIES
    _read: Sequence[Alert] | None = None
    _ended: deque[_Which] = field(default_factory=lambda: deque(maxlen=_MOST_ENDED))

    @property
    def judges(self) -> bool:
        """Whether this node judges for all."""
        return self.watch.is_ours and (self.watch.cluster is None or not self._tries_left)

    async def look(self, *, is_answered: bool) -> None:
        """Reads what is kept as open, if that is of use now and the database answers."""
        self._read = None
        if self.watch.cluster is not None:
            self._read = await self._kept() if is_answered else None
        elif self._tries_left:
            self._tries_left -= 1
            self._read = await self._kept()

    def applied(self, heart: Heart, *, is_answered: bool) -> Heart:
        """The heart of a node that has the duty, or has it no more. Waits for nothing.

        Args:
            heart: before.
            is_answered: whether the database said who has it.
        """
        kept, now = self._read, self.around.clock()
        if self.watch.cluster is None:
            if kept is None:
                return heart
            self._tries_left = 0
            return heart.resumed(kept, now)
        if self.watch.is_ours:
            return self._in_duty(heart, kept, now)
        self._tries_left = _TRIES
        if not is_answered:
            return heart
        self.books.hand_over()
        self.open = self.open if kept is None else kept
        return heart.relieved()

    def note(self, told: Iterable[Told]) -> None:
        """Takes note of what is over, so that it is not taken up again."""
        self._ended.extend(_which(alert) for news, alert in told if news is News.RESOLVED)

    def _in_duty(self, heart: Heart, kept: Sequence[Alert] | None, now: datetime) -> Heart:
        if kept is None:
            self._tries_left = max(0, self._tries_left - 1)
            return heart
        ended = frozenset(self._ended)
        self.open = [alert for alert in kept if _which(alert) not in ended]
        if not self._tries_left:
            return replace(heart, standing=adopted(heart.standing, self.open, now))
        self._tries_left = 0
        ours = {key: self.books.numbered(one) for key, one in heart.standing.open.items()}
        standing = replace(heart.standing, open=ours)
        return replace(heart, standing=taken_over(standing, self.open, now))

    async def _kept(self) -> Sequence[Alert] | None:
        """The alerts that are kept as open; None: that could not be read in time."""
        history = self.books.history
        question = Question(lambda: history.alerts(self._limit), self.around.sleep)
        try:
            records = await question.answer(ANSWER_SECONDS)
        except StoreError as error:
            question.drop()
            self.around.log.warning("monitor.not_resumed", reason=str(error))
            return None
        return [alert for alert in map(alert_of, records) if alert.resolved_at is None]

    @property
    def _limit(self) -> int:
        """All open ones are given, however many; what is over is of no use here."""
        return _MOST_ALERTS if self.watch.cluster is None else 1


def _which(alert: Alert) -> _Which:
    return alert.finding.rule, alert.finding.subject, alert.opened_at
