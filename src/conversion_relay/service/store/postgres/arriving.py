"""This store as one end of a move: takes rows of an embedded one, and how far that has come.

Each call is one transaction, so that rows are there if and only if the progress says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias, TypeVar, cast

from conversion_relay.errors import ConfigurationError
from conversion_relay.service.sealing import Sealer
from conversion_relay.service.store.cluster import LOST_AFTER
from conversion_relay.service.store.moving import MoveStanding, Row, Value
from conversion_relay.service.store.postgres.connections import Connection, Connections, Work
from conversion_relay.service.store.postgres.days import (
    PARTITIONED,
    day_at,
    day_of_id,
    first_id,
    make_days,
)
from conversion_relay.service.store.postgres.moves import MOVING
from conversion_relay.service.store.postgres.numbers import BLOCK
from conversion_relay.service.store.postgres.opening import prepare
from conversion_relay.service.store.postgres.pools import SLOW, Address, open_pool
from conversion_relay.service.store.postgres.texts import kept

Result = TypeVar("Result")
_Tables: TypeAlias = Mapping[str, Sequence[Row]]
_SECONDS: Final = 120.0
"""For each step; building indexes over what came takes longest."""
_SEQUENCES: Final = ("event_numbers", "delivery_numbers")
_NOT_EMPTY: Final = (
    "{} holds data already: a move needs a new database (CREATE DATABASE), or the one in which "
    "the move of the same old database was begun"
)
_IN_USE: Final = "a node works with {}: stop it, the move fills the database by itself"


class Arriving:
    """Implements the port `Target`; made by `open_target`."""

    def __init__(self, connections: Connections, sealer: Sealer, place: str) -> None:
        self.sealer = sealer
        self._connections = connections
        self._place = place

    def id_of(self, received_at: int, number: int) -> int:
        """The id here of what had that id there; of an event received at this microsecond."""
        return first_id(day_at(received_at)) + number

    async def standing(self, origin: str | None) -> MoveStanding | None:
        """How far a move from there has come; None: none began, and one may.

        Raises:
            ConfigurationError: there is something here already, or somebody works with it.
        """

        async def work(connection: Connection) -> MoveStanding | None:
            moves = await connection.fetch(MOVING["moves"])
            for name, progress, is_finished in moves:
                if name == origin:
                    return MoveStanding(progress, is_finished)
            if moves or not await connection.fetchval(MOVING["is_empty"]):
                raise ConfigurationError(_NOT_EMPTY.format(self._place))
            if await connection.fetchval(MOVING["somebody_is_here"], LOST_AFTER.total_seconds()):
                raise ConfigurationError(_IN_USE.format(self._place))
            return None

        return await self._done(work)

    async def begin(self, origin: str) -> None:
        """Nobody works with it from now on until the move is finished."""
        await self._done(lambda connection: connection.execute(MOVING["begin_move"], origin))

    async def keep(self, origin: str, rows: _Tables, progress: str) -> None:
        """Keep rows by table, and how far it has come, all or none; what is there stays."""
        await self._done(partial(_keep, origin=origin, rows=rows, progress=progress))

    async def counts(self) -> Mapping[str, int]:
        """How much there is, by kind."""

        async def work(connection: Connection) -> dict[str, int]:
            found = await connection.fetch(MOVING["counts_of_what_came"])
            return {name: count for name, count in found}  # noqa: C416 - records are no pairs

        return await self._done(work)

    async def finish(self, origin: str, last_numbers: tuple[int, int]) -> None:
        """It may be served; new ids are higher than all that came."""

        async def work(connection: Connection) -> None:
            for sequence, last in zip(_SEQUENCES, last_numbers, strict=True):
                await connection.execute(MOVING["raise_numbers"], sequence, BLOCK, last)
            await connection.execute(MOVING["raise_identities"])
            await connection.execute(MOVING["finish_move"], origin)

        await self._done(work)

    async def close(self) -> None:
        """Let go of the database."""
        await self._connections.close()

    async def _done(self, work: Work[Result]) -> Result:
        return await self._connections.transact(work, _SECONDS)


async def open_target(address: Address, sealer: Sealer, place: str) -> Arriving:
    """The database at that address, for moving into it; the caller closes it.

    Raises:
        ConfigurationError: a newer release wrote it, it is not durable, or a key is not
            at hand.
        StoreUnavailable: it does not answer, or cannot be written.
    """
    connections = await open_pool(address, 1, SLOW)
    try:
        await prepare(connections, address, sealer)
    except BaseException:
        await connections.close()
        raise
    return Arriving(connections, sealer, place)


async def _keep(connection: Connection, origin: str, rows: _Tables, progress: str) -> None:
    for slot in (cast("int", row[0]) for row in rows.get("ledger_slots", ())):
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS ledger_{slot} PARTITION OF ledger FOR VALUES IN ({slot})"
        )
    ids = (cast("int", row[0]) for table in PARTITIONED for row in rows.get(table, ()))
    await make_days(connection, {day_of_id(number) for number in ids})
    for table, found in rows.items():
        if found:
            columns = ([_kept(value) for value in column] for column in zip(*found, strict=True))
            await connection.execute(MOVING[f"arrive_{table}"], *columns)
    await connection.execute(MOVING["keep_progress"], origin, progress)


def _kept(value: Value) -> Value:
    return kept(value) if isinstance(value, str) else value
