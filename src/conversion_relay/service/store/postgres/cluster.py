"""The nodes over this database: signs of life, duties, and what they tell each other.

Here the database's clock counts, so that the nodes' own may differ. How lanes and configurations
are shared stands beside this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import asyncpg

from conversion_relay.service.store.cluster import (
    Decision,
    NodeRecord,
    NodeStanding,
    Proposal,
    Role,
    SharedLane,
    Topic,
)
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.news import News
from conversion_relay.service.store.postgres.proposals import Proposals
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.shared_lanes import SharedLanes


class PostgresCluster:
    """Implements the port `Cluster`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lanes = SharedLanes(database)
        self._proposals = Proposals(database)
        self._news = None if database.dial is None else News(database.node, database.dial)

    @property
    def node(self) -> str:
        """What this node is called; no other is."""
        return self._database.node

    async def beat(self, standing: NodeStanding, now: datetime) -> None:
        """Give a sign of life; nodes that gave none for a day are forgotten."""
        began = asyncio.get_running_loop().time()

        async def give(connection: Connection) -> None:
            waited = timedelta(seconds=asyncio.get_running_loop().time() - began)
            await connection.execute(
                QUERIES["beat"],
                self.node,
                standing.role.value,
                standing.release,
                standing.address,
                standing.started_at,
                now + waited,  # for a connection, which is no matter of clocks
                standing.configuration,
                standing.readings,
                self._database.sealer.key_id,
            )

        await self._database.hot.run(give)

    async def leave(self) -> None:
        """Say goodbye: others take over at once what this node did for all."""

        async def go(connection: Connection) -> None:
            await connection.execute(QUERIES["leave"], self.node)

        await self._database.hot.run(go)

    async def nodes(self) -> Sequence[NodeRecord]:
        """Those that are here, and those that were lost within a day; by name."""

        async def read(connection: Connection) -> Sequence[asyncpg.Record]:
            return await connection.fetch(QUERIES["nodes"])

        return [_node(row) for row in await self._database.hot.run(read)]

    async def hold(self, duty: str, lease: timedelta) -> bool:
        """Whether this node does that for all from now on, for so long at least."""

        async def take(connection: Connection) -> bool:
            taken: bool | None = await connection.fetchval(
                QUERIES["hold_duty"], duty, self.node, lease
            )
            return taken is not None

        return await self._database.hot.run(take)

    async def lane(self, destination: str) -> SharedLane | None:
        """The lane as it stands."""
        return await self._lanes.lane(destination)

    async def change_lane(self, lane: SharedLane) -> bool:
        """Put this lane in the place of the one of its revision; False: another did before."""
        return await self._lanes.change_lane(lane)

    async def propose(self, fingerprint: str, content: str) -> int | None:
        """Propose a configuration; gives its number, or None while another proposal is open."""
        return await self._proposals.propose(fingerprint, content)

    async def vote(self, proposal: int, reason: str | None) -> None:
        """Say whether this node can run it; `reason`: why not."""
        await self._proposals.vote(proposal, reason)

    async def decide(self, proposal: int, decision: Decision, reason: str | None = None) -> bool:
        """End a proposal; False: it was ended before."""
        return await self._proposals.decide(proposal, decision, reason)

    async def proposal(self) -> Proposal | None:
        """The newest one, open or not."""
        return await self._proposals.proposal()

    async def tell(self, topic: Topic) -> None:
        """Have the other nodes hear of it soon; behind a pooler they only look now and then."""
        if self._news is not None:
            self._news.tell(topic)

    def hear(self, topic: Topic, called: Callable[[], None]) -> None:
        """Have this called, in the event loop, when another node tells of it."""
        if self._news is not None:
            self._news.hear(topic, called)

    async def close(self) -> None:
        """Stop listening."""
        if self._news is not None:
            await self._news.close()


def _node(row: asyncpg.Record) -> NodeRecord:
    standing = NodeStanding(
        role=Role(row["role"]),
        release=row["release"],
        address=row["address"],
        started_at=row["started_at"],
        configuration=row["configuration"],
        readings=row["readings"],
    )
    offset = timedelta(seconds=row["clock_offset"])
    return NodeRecord(row["node"], standing, row["silent_for"], offset, tuple(row["duties"]))
