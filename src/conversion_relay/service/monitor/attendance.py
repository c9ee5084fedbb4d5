"""Asks who is there: the duties of this node, and what the others say of themselves.

Waits for no answer longer than a few seconds. Without a cluster it asks nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.canary.standing import CanaryStanding
from conversion_relay.service.monitor.company import (
    Tally,
    canaries_of,
    figures_of,
    lanes_of,
    refusal_of,
    run_of,
    turned_last,
)
from conversion_relay.service.monitor.duty import Duty
from conversion_relay.service.monitor.figures import (
    Company,
    LaneFigures,
    NodeFigures,
    RefusalFigures,
)
from conversion_relay.service.monitor.published import Published, read
from conversion_relay.service.monitor.questions import Question
from conversion_relay.service.store.cluster import Cluster, NodeRecord
from conversion_relay.service.surroundings import Surroundings

_ANSWER_SECONDS: Final = 4.0


@dataclass(slots=True)
class Attendance:
    """Who is there.

    Attributes:
        cluster: None: one process owns the database.
        around: time.
        watch: the duty to judge; by its answers it is known whether the database answers.
        others: duties besides.
    """

    cluster: Cluster | None
    around: Surroundings
    watch: Duty
    others: Sequence[Duty] = ()
    _begun_at: datetime = field(init=False)
    _company: Company | None = None
    _said: Mapping[str, Published] = field(default_factory=dict)
    _tally: Tally = field(default_factory=Tally)
    _turned: Mapping[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Knows nobody yet."""
        self._begun_at = self.around.clock()
        if self.cluster is not None:
            self._company = Company(self.cluster.node, is_known=False)

    @property
    def company(self) -> Company | None:
        """The nodes as they were when they were asked for last; None without a cluster."""
        return self._company

    async def ask(self) -> bool:
        """Renews the duties and looks who is there; gives whether the database answered."""
        if self.cluster is None or self._company is None:
            return True
        records, is_answered, _ = await asyncio.gather(
            self._nodes(self.cluster),
            self.watch.renew(),
            asyncio.gather(*(duty.renew() for duty in self.others)),
        )
        name, now = self._company.name, self.around.clock()
        nodes = self._company.nodes if records is None else self._learn(records, name, now)
        self._company = Company(
            name,
            nodes,
            is_known=records is not None,
            counted=self._tally.counted,
            waiting_events=sum(one.waiting_events for one in self._said.values()),
            cut_off_for=timedelta() if is_answered else now - self.watch.answered_at,
        )
        return is_answered

    def lanes(
        self, own: Mapping[str, LaneFigures], destinations: Collection[str]
    ) -> Mapping[str, LaneFigures]:
        """Every lane, whoever delivers to it."""
        if self._company is None:
            return own
        others = [one.lanes for one in self._said.values()]
        self._turned = turned_last(self._turned, (own, *others))
        turned = {name: self._turned.get(name, self._begun_at) for name in destinations}
        return lanes_of(own, others, turned, self._begun_at)

    def canaries(self, own: Mapping[str, CanaryStanding]) -> Mapping[str, CanaryStanding]:
        """How canaries fare, whoever sends them."""
        return canaries_of(own, self._said.values())

    def refusal(self, own: RefusalFigures | None) -> RefusalFigures | None:
        """Of a changed configuration, whoever refuses it."""
        return refusal_of(own, self._said)

    async def _nodes(self, cluster: Cluster) -> Sequence[NodeRecord] | None:
        question = Question(cluster.nodes, self.around.sleep)
        try:
            return await question.answer(_ANSWER_SECONDS)
        except StoreError:
            question.drop()
            return None

    def _learn(
        self, records: Sequence[NodeRecord], own: str, now: datetime
    ) -> Sequence[NodeFigures]:
        said = {one.node: read(one.standing.readings, now) for one in records}
        others = [one for one in records if one.node != own]
        counts = {run_of(one): said[one.node].counts for one in others}
        self._tally = self._tally.then(counts, now)
        self._said = {one.node: said[one.node] for one in others if one.is_here}
        return figures_of(records, said, own, now)
