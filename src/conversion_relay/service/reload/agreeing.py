"""Whether all nodes can run a configuration, asked before it takes effect on any of them.

Whoever has a change proposes it; every node that is here says whether it can run it, and only if
all can it is adopted, by all. Knows the nodes by the port `Cluster`, and no file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.reload.candidate import Candidate
from conversion_relay.service.reload.steps import Answer, Objection, Result, Step
from conversion_relay.service.store.cluster import (
    LOST_AFTER,
    Cluster,
    Decision,
    NodeRecord,
    Proposal,
    Topic,
)
from conversion_relay.service.surroundings import Surroundings

SILENT_AFTER: Final = LOST_AFTER + timedelta(seconds=5)
"""Who is here and has not said anything by then refuses; who is dead is not here any more."""
GIVEN_UP_AFTER: Final = SILENT_AFTER + timedelta(seconds=15)
"""A proposal that whoever made it did not end by then is ended by anybody."""
_POLL_SECONDS: Final = 0.5
_BUSY: Final = "another change is being agreed on by the nodes; this one is tried after it"
_BEHIND: Final = "another change took effect meanwhile; this one is tried once more"
_UNKNOWN: Final = "the database does not answer, so that the other nodes cannot be asked"


def judged(proposal: Proposal, nodes: Iterable[NodeRecord]) -> tuple[Decision, str | None] | None:
    """What becomes of an open proposal; None: it is not known yet."""
    against = sorted((node, said) for node, said in proposal.votes.items() if said is not None)
    if against:
        return Decision.REFUSED, "; ".join(
            f"node {node} cannot run it: {said}" for node, said in against
        )
    missing = sorted({one.node for one in nodes if one.is_here} - proposal.votes.keys())
    if not missing:
        return Decision.ADOPTED, None
    if proposal.age < SILENT_AFTER:
        return None
    seconds = f"{SILENT_AFTER.total_seconds():g}"
    return Decision.REFUSED, "; ".join(
        f"node {node} is there, and did not say within {seconds} s whether it can run it"
        for node in missing
    )


def given_up(proposal: Proposal) -> str | None:
    """Why anybody may end an open proposal; None: its time is not over."""
    if proposal.age < GIVEN_UP_AFTER:
        return None
    seconds = f"{GIVEN_UP_AFTER.total_seconds():g}"
    return f"node {proposal.node}, which proposed it, did not end it within {seconds} s"


@dataclass(slots=True)
class Agreement:
    """Asks the other nodes.

    Attributes:
        cluster: the nodes.
        around: time.
        seen: the last proposal that this node has done with.
    """

    cluster: Cluster
    around: Surroundings
    seen: int = 0
    _heard: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self, *others: Callable[[], None]) -> None:
        """Hear of proposals, votes and decisions from now on; the others are told too."""
        for called in (self._heard.set, *others):
            self.cluster.hear(Topic.CONFIGURATION, called)

    async def others_are_here(self) -> bool:
        """Whether this node is not alone.

        Raises:
            StoreError: the database does not answer.
        """
        nodes = await self.cluster.nodes()
        return any(one.is_here and one.node != self.cluster.node for one in nodes)

    async def begin(self) -> None:
        """What was decided before this node began is none of its business, unless just now.

        Raises:
            StoreError: the database does not answer.
        """
        found = await self.cluster.proposal()
        if found is not None:
            is_past = found.decision is not None and found.age > GIVEN_UP_AFTER
            self.seen = found.id if is_past else found.id - 1

    async def told_before(self, candidate: Candidate) -> Answer | None:
        """What the nodes say of it already; None: nothing.

        Raises:
            StoreError: the database does not answer.
        """
        found = await self.cluster.proposal()
        if found is None or found.fingerprint != candidate.fingerprint:
            return None
        if found.decision is None:
            return _waits(_BUSY)
        return _refused(found.reason) if found.decision is Decision.REFUSED else None

    async def reach(self, candidate: Candidate) -> Answer:
        """Have every node say whether it can run it; ADOPTED: all can, and take it over."""
        try:
            before = await self.cluster.proposal()
            if before and before.decision is Decision.ADOPTED and before.id > self.seen:
                return _waits(_BEHIND)
            number = await self.cluster.propose(candidate.fingerprint, candidate.content)
        except StoreError:
            return _waits(_UNKNOWN)
        return _waits(_BUSY) if number is None else await self._ended(number)

    async def _ended(self, number: int) -> Answer:
        """How the proposal of this node ends; if that stays unknown, others end it."""
        until = self.around.clock() + GIVEN_UP_AFTER
        before, self.seen = self.seen, max(self.seen, number)
        voted = False
        while self.around.clock() < until:
            with suppress(StoreError):
                if not voted:
                    await self.cluster.vote(number, None)
                    await self.cluster.tell(Topic.CONFIGURATION)
                    voted = True
                answer = await self._answer(number)
                if answer is not None:
                    return answer
            await self._pause()
        self.seen = before
        return _waits(_UNKNOWN)

    async def _answer(self, number: int) -> Answer | None:
        found = await self.cluster.proposal()
        if found is None or found.id != number:
            return _refused("it was ended by another node")
        if found.decision is None:
            verdict = judged(found, await self.cluster.nodes())
            if verdict is None or not await self.cluster.decide(number, *verdict):
                return None
            await self.cluster.tell(Topic.CONFIGURATION)
            return _told(*verdict)
        return _told(found.decision, found.reason)

    async def _pause(self) -> None:
        """Until something is heard, or for a moment."""
        self._heard.clear()
        hearing = asyncio.ensure_future(self._heard.wait())
        sleeping = asyncio.ensure_future(self.around.sleep(_POLL_SECONDS))
        try:
            await asyncio.wait((hearing, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            sleeping.cancel()


def behind() -> Answer:
    """What was examined was compared with what runs no more."""
    return _waits(_BEHIND)


def _told(decision: Decision, reason: str | None) -> Answer:
    return (Result.ADOPTED, ()) if decision is Decision.ADOPTED else _refused(reason)


def _refused(reason: str | None) -> Answer:
    return Result.REFUSED, (Objection(Step.AGREE, reason or "another node refused it"),)


def _waits(sentence: str) -> Answer:
    return Result.WAITING, (Objection(Step.AGREE, sentence),)
