"""Connections to the database that never hang and never outlive a failover. Knows no table.

Every piece of work has a time by which it must be done. A connection that missed it, was lost or
met a server that must not be written is thrown away with all the others of the pool, so that the
next piece of work connects anew.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import asyncpg

from conversion_relay.errors import StoreUnavailable

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection = Pool = object

Result = TypeVar("Result")
Work: TypeAlias = Callable[[Connection], Awaitable[Result]]
CONNECT_SECONDS: Final = 3.0
COMMAND_SECONDS: Final = 5.0
_RELEASE_SECONDS: Final = 1.0
_HEAL_SECONDS: Final = 1.0
_TRIES: Final = 3
_AGAIN: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_GONE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.ReadOnlySQLTransactionError,  # 25006: this was the primary once
    asyncpg.AdminShutdownError,  # 57P01
    asyncpg.CrashShutdownError,  # 57P02
    asyncpg.CannotConnectNowError,  # 57P03
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    TimeoutError,
    OSError,
)
"""Whatever says that the other connections are no better."""
_OF_THE_CALLER: Final = ("22", "23", "54")
"""Classes of SQLSTATE: data, rules of the schema, limits."""


class Connections:
    """A pool whose work ends in time, one way or the other.

    Attributes:
        trouble: why the last piece of work that met the database failed; None once one did not.
    """

    def __init__(self, pool: Pool, most: int) -> None:
        self.trouble: str | None = None
        self._pool = pool
        self._only_read = False
        self._most = most
        self._turns = asyncio.Semaphore(most)
        self._closed = False
        self._healing: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Future[None]] = set()

    async def run(self, work: Work[Result], seconds: float = COMMAND_SECONDS) -> Result:
        """What the work gives on a connection of its own, each statement committed by itself.

        Raises:
            StoreUnavailable: the database did not do it, or not in time; it may have been done.
        """
        result = await self._done(work, seconds)
        if not self._only_read:
            self.trouble = None
        return result

    async def single(self, work: Work[Result], seconds: float = COMMAND_SECONDS) -> Result:
        """What one writing statement gives; done again where another transaction was in its way.

        Raises:
            StoreUnavailable: the database did not do it, or not in time; it may have been done.
        """
        for left in reversed(range(_TRIES)):
            try:
                result = await self._done(work, seconds)
            except StoreUnavailable as error:
                if not left or not isinstance(error.__cause__, _AGAIN):
                    raise
            else:
                self.trouble, self._only_read = None, False
                return result
        raise AssertionError("the last try gives or raises")

    async def transact(self, work: Work[Result], seconds: float = COMMAND_SECONDS) -> Result:
        """What the work gives inside a transaction, once that is committed.

        It is done again, up to three times in all, where another transaction was in its way. What
        it raises itself undoes it.

        Raises:
            StoreUnavailable: the database did not do it, or not in time; it may have been done.
        """

        async def committed(connection: Connection) -> Result:
            return await _committed(connection, work)

        return await self.single(committed, seconds)

    async def close(self, seconds: float = 0.0) -> None:
        """Take nothing new, wait so long for what is under way, let go of every connection."""
        if self._closed:
            return
        self._closed = True
        if self._healing is not None:
            self._healing.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for _ in range(self._most):
                    await self._turns.acquire()
        self._pool.terminate()

    async def _done(self, work: Work[Result], seconds: float) -> Result:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        connection = await self._acquired(seconds)
        try:
            async with asyncio.timeout(seconds):
                return await work(connection)
        except (asyncpg.PostgresError, *_GONE) as error:
            raise self._failed(connection, error, seconds) from error
        except asyncio.CancelledError:
            _abandon(connection)
            raise
        finally:
            await self._released(connection)

    async def _acquired(self, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                await self._turns.acquire()
        except TimeoutError as error:
            raise StoreUnavailable("every connection to the database is in use") from error
        try:
            return await self._pool.acquire()
        except BaseException as error:
            self._turns.release()
            if isinstance(error, (asyncpg.PostgresError, *_GONE)):
                raise self._unavailable(error, CONNECT_SECONDS) from error
            raise

    async def _released(self, connection: Connection) -> None:
        """One that cannot be made ready for the next is closed by the pool."""
        try:
            with suppress(asyncpg.PostgresError, *_GONE):
                await self._pool.release(connection, timeout=_RELEASE_SECONDS)
        finally:
            self._turns.release()

    def _failed(
        self, connection: Connection, error: Exception, seconds: float
    ) -> StoreUnavailable:
        """A connection in the middle of something is not waited for."""
        if isinstance(error, _GONE) and not is_of_the_caller(error):
            _abandon(connection)
        return self._unavailable(error, seconds)

    def _unavailable(self, error: Exception, seconds: float) -> StoreUnavailable:
        """What a caller is told; says nothing of values, which a server may repeat."""
        unavailable = StoreUnavailable(_words(error, seconds))
        if not is_of_the_caller(error):
            self.trouble = str(unavailable)
            if isinstance(error, _GONE):
                self._expire()
            else:
                self._only_read = True
            self._heal_later()
        return unavailable

    def _expire(self) -> None:
        """Others of the pool may be no better: each is closed once it is free."""
        expiring = asyncio.ensure_future(self._pool.expire_connections())
        self._tasks.add(expiring)
        expiring.add_done_callback(self._tasks.discard)

    def _heal_later(self) -> None:
        if self._healing is None and not self._closed:
            self._healing = asyncio.ensure_future(self._heal())

    async def _heal(self) -> None:
        """Try to write until that is possible, so that recovery needs no callers."""
        while self.trouble is not None:
            await asyncio.sleep(_HEAL_SECONDS)
            with suppress(StoreUnavailable):
                await self.transact(_write_something)
        self._healing = None


def is_of_the_caller(error: BaseException | None) -> bool:
    """Whether the values of one caller are the fault, and others may fare better."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2] in _OF_THE_CALLER
    return isinstance(error, ValueError)  # what the driver cannot encode


async def _committed(connection: Connection, work: Work[Result]) -> Result:
    """Whoever is cancelled gives up the connection, so nothing is undone over it."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        result = await work(connection)
    except Exception:
        with suppress(asyncpg.InterfaceError, asyncpg.PostgresConnectionError):  # it is gone
            if not connection.is_closed():
                await transaction.rollback()
        raise
    await transaction.commit()
    return result


async def _write_something(connection: Connection) -> None:
    await connection.execute("SELECT pg_current_xact_id()")


def _abandon(connection: Connection) -> None:
    """One that the server ended has left the pool by itself, and is not asked any more."""
    with suppress(asyncpg.InterfaceError):
        if not connection.is_closed():
            connection.terminate()


_WORDS: Final[Mapping[type[BaseException], str]] = {
    asyncpg.TargetServerAttributeNotMatched: "no server at its address can be written",
    asyncpg.TooManyConnectionsError: "it has no connection left: raise its max_connections, or "
    "lower database_connections (RELAY_DATABASE_CONNECTIONS)",
    asyncpg.OutOfMemoryError: "it has no memory left, or no room for more locks: for these raise "
    "its max_locks_per_transaction",
    asyncpg.DiskFullError: "its disk is full",
    asyncpg.ReadOnlySQLTransactionError: "it cannot be written at present",
    asyncpg.CannotConnectNowError: "it is starting or stopping",
    ConnectionRefusedError: "nothing listens at its address",
    socket.gaierror: "the name of its host cannot be resolved",
}
"""Where the name of the error would not say what to do."""


def _words(error: Exception, seconds: float) -> str:
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return f"the database cannot be used: {words}"
    if isinstance(error, TimeoutError):
        return f"the database did not answer within {seconds:g} s"
    if isinstance(error, asyncpg.PostgresError):
        return f"the database refused it: {type(error).__name__} ({error.sqlstate})"
    if is_of_the_caller(error):
        return f"the database cannot keep this: {type(error).__name__}"
    return f"the database cannot be reached: {type(error).__name__}"
