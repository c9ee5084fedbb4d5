"""This node's part in what others propose: it says whether it can run it, and takes it over.

Looks every few seconds, and at once when it hears of something. Examines the content that was
proposed in its own surroundings: with its own secrets, its own release. A proposal that nobody
ends is ended here. Whatever goes wrong in a look, the next one comes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from conversion_relay.errors import ConfigurationError, StoreError
from conversion_relay.service.logs import fault
from conversion_relay.service.reload.agreeing import Agreement, given_up
from conversion_relay.service.reload.reloading import Reloader
from conversion_relay.service.reload.steps import Ask, objections_of
from conversion_relay.service.store.cluster import Decision, Proposal, Topic
from conversion_relay.service.surroundings import Surroundings

LOOK_SECONDS: Final = 2.0
_LOOKS_TO_COMPARE: Final = 15
"""About every half minute: whether what runs is what was kept last."""
_FIRST_LOOKS: Final = 5
"""Nodes that begin together may not have seen each other."""
_LOOKS_FOR_A_NUMBER: Final = 10
"""So long a version that nobody has kept yet may still be kept by whoever proposed it."""
_WRITES: Final = "configuration"
_LEASE: Final = timedelta(seconds=30)
_LONGEST_REASON: Final = 1_000


@dataclass(slots=True)
class Attendance:
    """Attends to what the nodes agree on.

    Attributes:
        reloader: of this node.
        agreement: with the others.
        around: time and log.
    """

    reloader: Reloader
    agreement: Agreement
    around: Surroundings
    _heard: asyncio.Event = field(default_factory=asyncio.Event)
    _looks: int = 0
    _unnumbered: int = 0
    _told_of: int = 0

    async def run(self) -> None:
        """Looks until cancelled."""
        self.agreement.listen(self._heard.set)
        while True:
            try:
                await self.look()
            except StoreError:
                pass  # that is told by whoever needs it first
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end it
                self.around.log.error("configuration.not_reloaded", **fault(error))
            await self._pause()

    async def look(self) -> None:
        """Looks once.

        Raises:
            StoreError: the database does not answer.
        """
        found = await self.agreement.cluster.proposal()
        if found is not None:
            await self._attend(found)
        await self._compare()

    async def _attend(self, found: Proposal) -> None:
        if found.decision is None:
            await self._vote(found)
        elif found.id > self.agreement.seen:
            if found.decision is Decision.ADOPTED:
                await self._follow(found)
            else:
                self._tell(found)
            self.agreement.seen = max(self.agreement.seen, found.id)

    async def _vote(self, found: Proposal) -> None:
        cluster = self.agreement.cluster
        if cluster.node not in found.votes:
            await cluster.vote(found.id, await self._objection(found))
            await cluster.tell(Topic.CONFIGURATION)
        over = given_up(found)
        if over is not None and await cluster.decide(found.id, Decision.REFUSED, over):
            await cluster.tell(Topic.CONFIGURATION)

    async def _objection(self, found: Proposal) -> str | None:
        """Why this node cannot run it."""
        try:
            await self.reloader.restored(found.content, "the proposed configuration")
        except ConfigurationError as error:
            sentences = "; ".join(one.sentence for one in objections_of(error))
            return sentences[:_LONGEST_REASON]
        except Exception as error:  # noqa: BLE001 - what cannot be examined cannot be run
            return f"it cannot be examined: {type(error).__name__}"
        return None

    async def _follow(self, found: Proposal) -> None:
        if found.fingerprint == self.reloader.running.fingerprint:
            return
        await self._take_over(found.content, f"what node {found.node} proposed")

    def _tell(self, found: Proposal) -> None:
        """Others learn of it from the node that proposed it."""
        self.around.log.warning("configuration.not_agreed", node=found.node, reason=found.reason)

    async def _compare(self) -> None:
        """What runs should be what was kept last, and has its number."""
        self._looks += 1
        book, running = self.reloader.book, self.reloader.running
        is_time = self._looks <= _FIRST_LOOKS or self._looks % _LOOKS_TO_COMPARE == 0
        if book.kept is not None and not is_time:
            return
        newest = await book.newest()
        if newest is not None and newest.fingerprint == running.fingerprint:
            book.show(newest)
            self._unnumbered = 0
        elif book.kept is None:
            await self._number()
        elif newest is not None and newest.id > book.kept.id:
            await self._take_over(newest.content, f"version {newest.id}")

    async def _number(self) -> None:
        """Keeps what runs, where whoever proposed it does not come to it any more."""
        self._unnumbered += 1
        if self._unnumbered >= _LOOKS_FOR_A_NUMBER:
            if await self.agreement.cluster.hold(_WRITES, _LEASE):
                await self.reloader.keep_running()
            self._unnumbered = 0

    async def _take_over(self, content: str, name: str) -> None:
        try:
            await self.reloader.follow(content, name)
        except ConfigurationError as error:
            self.reloader.refuse(error, Ask("agreement"))

    async def _pause(self) -> None:
        """Until something is heard, or for some seconds."""
        hearing = asyncio.ensure_future(self._heard.wait())
        sleeping = asyncio.ensure_future(self.around.sleep(LOOK_SECONDS))
        try:
            await asyncio.wait((hearing, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            hearing.cancel()
            sleeping.cancel()
        self._heard.clear()
