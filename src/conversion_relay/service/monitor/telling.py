"""What there is to say of an alert, with what waits and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.alerting.alert import Alert, News, Notification
from conversion_relay.service.monitor.figures import Snapshot
from conversion_relay.service.monitor.questions import Question
from conversion_relay.service.store.history import History
from conversion_relay.service.surroundings import Surroundings

ANSWER_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Telling:
    """Makes notifications.

    Attributes:
        history: says what events are worth.
        around: time.
    """

    history: History
    around: Surroundings

    async def notification(self, news: News, alert: Alert, snapshot: Snapshot) -> Notification:
        """The news of this alert."""
        name = alert.finding.destination
        if name is None or snapshot.waiting is None:
            return Notification(news, alert, snapshot.at)
        count = sum(one.count for one in snapshot.waiting if one.destination == name)
        worth: Mapping[str, int] = await self._worth(name) if count else {}
        return Notification(news, alert, snapshot.at, count, worth)

    async def _worth(self, destination: str) -> Mapping[str, int]:
        question = Question(lambda: self.history.waiting_value(destination), self.around.sleep)
        try:
            return await question.answer(ANSWER_SECONDS)
        except StoreError:
            question.drop()
            return {}
