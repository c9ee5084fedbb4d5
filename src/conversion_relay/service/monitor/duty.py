"""What one node does for all, for a while at a time, as long as the database says so.

Without a cluster, a process has every duty. A node that the database does not answer has a duty
until its lease is over, and no longer: by then another may have it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.monitor.questions import Question
from conversion_relay.service.store.cluster import Cluster
from conversion_relay.service.surroundings import Surroundings

WATCH: Final = "watch"
"""Judging the flow and telling of alerts."""
CANARY: Final = "canary"
"""Sending test events."""
LEASE: Final = timedelta(seconds=14)
"""With a look every five seconds, another has it within twenty."""
_ANSWER_SECONDS: Final = 4.0


@dataclass(slots=True)
class Duty:
    """A duty of this node, or of another one.

    Attributes:
        name: of the duty.
        cluster: gives it; None: nobody else could have it.
        around: time.
        is_wanted: whether this node could do it.
        answered_at: when the database last said who has it.
    """

    name: str
    cluster: Cluster | None
    around: Surroundings
    is_wanted: Callable[[], bool] = lambda: True
    answered_at: datetime = field(init=False)
    _since: datetime | None = None

    def __post_init__(self) -> None:
        """Nobody was asked yet."""
        self.answered_at = self.around.clock()

    @property
    def is_ours(self) -> bool:
        """Whether it is this node's now."""
        if self.cluster is None:
            return True
        return self._since is not None and self.around.clock() - self._since < LEASE

    async def renew(self) -> bool:
        """Ask for it, or for more of it; gives whether there was an answer."""
        if self.cluster is None:
            return True
        asked_at = self.around.clock()
        if not self.is_wanted():
            self._since = None
            return True
        cluster = self.cluster
        question = Question(lambda: cluster.hold(self.name, LEASE), self.around.sleep)
        try:
            held = await question.answer(_ANSWER_SECONDS)
        except StoreError:
            question.drop()  # what it would still say is of no use later
            return False
        self._since = asked_at if held else None
        self.answered_at = self.around.clock()
        return True
