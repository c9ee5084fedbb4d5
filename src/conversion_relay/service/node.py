"""This node among the others: its heartbeat, who else is there, and what is told of arrivals.

Says in the log who comes and who is lost. Knows the others by the port `Cluster`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from conversion_relay.errors import StoreError
from conversion_relay.service.logs import fault
from conversion_relay.service.store.cluster import (
    BEAT_SECONDS,
    Cluster,
    NodeRecord,
    NodeStanding,
    Topic,
)
from conversion_relay.service.surroundings import Surroundings

CLOCK_TOLERANCE: Final = timedelta(seconds=2)
"""By so much this node's clock may differ from the database's before it is said."""
_LEAVE_SECONDS: Final = 2.0


@dataclass(slots=True)
class Heart:
    """The sign of life of this node, and what the others' tell.

    Attributes:
        cluster: the nodes over this database.
        standing: what this node says of itself at present.
        around: time and log.
    """

    cluster: Cluster
    standing: Callable[[], NodeStanding]
    around: Surroundings
    _known: Mapping[str, NodeRecord] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _has_beaten: bool = False

    async def run(self) -> None:
        """Beats until it is cancelled, and says goodbye then."""
        try:
            while True:
                await self._turn()
                await self.around.sleep(BEAT_SECONDS)
        finally:
            with suppress(StoreError, TimeoutError):  # others notice it by the silence
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self.cluster.leave()

    async def beat(self) -> None:
        """A look at the others, and a sign of life.

        Raises:
            StoreError: the database does not answer.
        """
        own = self.standing()
        self._look_at(await self.cluster.nodes(), own)
        await self.cluster.beat(own, self.around.clock())
        self._has_beaten = True

    async def _turn(self) -> None:
        """A beat; whatever goes wrong in it is said once, and the next one comes."""
        try:
            await self.beat()
        except StoreError as error:
            self._failed(reason=str(error))
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end it
            self._failed(**fault(error))
        else:
            self._said.discard("beat")

    def _failed(self, **details: object) -> None:
        node = self.cluster.node
        self._say_once(
            "beat", lambda: self.around.log.error("node.beat_failed", node=node, **details)
        )

    def _look_at(self, nodes: Sequence[NodeRecord], own: NodeStanding) -> None:
        found = {one.node: one for one in nodes}
        mine = found.pop(self.cluster.node, None)
        for name, one in found.items():
            self._compare(self._known.get(name), one)
        for name in sorted(self._known.keys() - found.keys()):
            if self._known[name].is_here:
                self.around.log.info("node.left", node=name)
        self._known = found
        if mine is not None and self._has_beaten:
            self._check_clock(mine.clock_offset)
            self._check_name(mine.standing, own)

    def _compare(self, before: NodeRecord | None, now: NodeRecord) -> None:
        """Says what became of another node."""
        was_here = before is not None and before.is_here
        if now.is_here and not was_here:
            standing = now.standing
            self.around.log.info(
                "node.appeared", node=now.node, role=standing.role.value, release=standing.release
            )
        elif was_here and not now.is_here:
            seconds = round(now.silent_for.total_seconds())
            self.around.log.warning("node.lost", node=now.node, silent_seconds=seconds)

    def _check_clock(self, offset: timedelta) -> None:
        if abs(offset) <= CLOCK_TOLERANCE:
            self._said.discard("clock")
            return
        seconds = round(offset.total_seconds(), 1)
        self._say_once(
            "clock",
            lambda: self.around.log.warning(
                "node.clock_differs", node=self.cluster.node, ahead_seconds=seconds
            ),
        )

    def _check_name(self, seen: NodeStanding, own: NodeStanding) -> None:
        """Who gave a beat since ours, under our name, is another node."""
        if seen.started_at == own.started_at:
            self._said.discard("name")
            return
        self._say_once(
            "name",
            lambda: self.around.log.error("node.name_taken", node=self.cluster.node),
        )

    def _say_once(self, what: str, say: Callable[[], None]) -> None:
        """Until it is over."""
        if what not in self._said:
            self._said.add(what)
            say()


@dataclass(slots=True)
class Arrivals:
    """Wakes this node's workers and tells the others of what arrived.

    Attributes:
        wake: those of this node.
        cluster: the nodes over this database.
    """

    wake: Callable[[], None]
    cluster: Cluster
    _telling: set[asyncio.Task[None]] = field(default_factory=set)

    def note(self) -> None:
        """Something arrived. Waits for nothing."""
        self.wake()
        if not self._telling:
            task = asyncio.create_task(self.cluster.tell(Topic.ARRIVED))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
