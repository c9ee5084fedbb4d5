"""Configurations that nodes agree on: one at a time, its content sealed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from conversion_relay.errors import SealingError
from conversion_relay.service.store.cluster import Decision, Proposal
from conversion_relay.service.store.postgres.connections import Connection
from conversion_relay.service.store.postgres.database import Database
from conversion_relay.service.store.postgres.queries import QUERIES
from conversion_relay.service.store.postgres.texts import optionally_given, optionally_kept

if TYPE_CHECKING:
    import asyncpg

_REMEMBERED: Final = timedelta(days=30)


class Proposals:
    """Configurations that nodes agree on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: tuple[int, str] = (0, "")

    async def propose(self, fingerprint: str, content: str) -> int | None:
        """Propose a configuration; gives its number, or None while another proposal is open."""
        sealed = self._database.sealer.seal(content.encode(), _context(fingerprint))

        async def add(connection: Connection) -> int | None:
            await connection.execute(QUERIES["forget_proposals"], _REMEMBERED)
            number: int | None = await connection.fetchval(
                QUERIES["propose"], self._database.node, fingerprint, sealed
            )
            return number

        return await self._database.hot.transact(add)

    async def vote(self, proposal: int, reason: str | None) -> None:
        """Say whether this node can run it; of one that was ended nothing is noted."""

        async def note(connection: Connection) -> None:
            node = self._database.node
            await connection.execute(QUERIES["vote"], proposal, node, optionally_kept(reason))

        await self._database.hot.run(note)

    async def decide(self, proposal: int, decision: Decision, reason: str | None = None) -> bool:
        """End a proposal; False: it was ended before."""

        async def end(connection: Connection) -> int | None:
            number: int | None = await connection.fetchval(
                QUERIES["decide"], proposal, decision.value, optionally_kept(reason)
            )
            return number

        return await self._database.hot.run(end) is not None

    async def proposal(self) -> Proposal | None:
        """The newest one, open or not; its content is empty if it cannot be opened."""
        known, _ = self._read

        async def read(
            connection: Connection,
        ) -> tuple[asyncpg.Record | None, Sequence[asyncpg.Record]]:
            row = await connection.fetchrow(QUERIES["proposal"], known)
            if row is None:
                return None, ()
            return row, await connection.fetch(QUERIES["votes"], row["id"])

        row, votes = await self._database.hot.run(read)
        return None if row is None else self._told(row, votes)

    def _told(self, row: asyncpg.Record, votes: Sequence[asyncpg.Record]) -> Proposal:
        result = row["result"]
        return Proposal(
            id=row["id"],
            node=row["node"],
            fingerprint=row["fingerprint"],
            content=self._content(row),
            age=row["age"],
            votes={one["node"]: optionally_given(one["reason"]) for one in votes},
            decision=None if result is None else Decision(result),
            reason=optionally_given(row["reason"]),
        )

    def _content(self, row: asyncpg.Record) -> str:
        """Opened once; it never changes."""
        if row["id"] != self._read[0]:
            content = b""
            with suppress(SealingError):
                context = _context(row["fingerprint"])
                content = self._database.sealer.open(row["sealed"], context)
            self._read = row["id"], content.decode()
        return self._read[1]


def _context(fingerprint: str) -> bytes:
    return f"proposal:{fingerprint}".encode()
