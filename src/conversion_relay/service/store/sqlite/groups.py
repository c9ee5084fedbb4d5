"""What waits for the writing thread, and what goes into one transaction. Knows no table.

Each waiter is a future of the event loop; an `Answer` resolves it there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import apsw

from conversion_relay.service.store.port import NewEvent, Receipt

Result = TypeVar("Result")
Answer: TypeAlias = Callable[[], None]
Work: TypeAlias = Callable[[apsw.Connection], Result]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """Work for one caller, its type closed over.

    Attributes:
        abandoned: nobody waits for it any more.
        work: inside a transaction.
        instead: what can be done while nothing can be written; None: nothing can.
        fail: tells the caller.
    """

    abandoned: Callable[[], bool]
    work: Work[Answer]
    instead: Work[Answer] | None
    fail: Callable[[Exception], None]

    @staticmethod
    def of(
        waiter: asyncio.Future[Result], work: Work[Result], instead: Work[Result] | None
    ) -> Call:
        """The call that resolves this waiter."""

        def answering(work: Work[Result], connection: apsw.Connection) -> Answer:
            return partial(resolve, waiter, work(connection))

        return Call(
            waiter.cancelled,
            partial(answering, work),
            None if instead is None else partial(answering, instead),
            partial(fail, waiter),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Append:
    """Events of one caller."""

    waiter: asyncio.Future[Receipt]
    events: Sequence[NewEvent]
    size: int

    def fail(self, error: Exception) -> None:
        """Tell the caller."""
        fail(self.waiter, error)


@dataclass(frozen=True, slots=True)
class Group:
    """What goes into one transaction, and what comes after it, in none."""

    calls: tuple[Call, ...] = ()
    appends: tuple[Append, ...] = ()
    apart: tuple[Call, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether there is anything for a transaction."""
        return bool(self.calls or self.appends)

    def failures(self, error: Exception) -> list[Answer]:
        """Tells each of the callers."""
        calls: list[Answer] = [partial(call.fail, error) for call in self.calls]
        return calls + [partial(append.fail, error) for append in self.appends]

    def parts(self) -> list[Group]:
        """Each caller's work alone."""
        calls = [Group((call,), ()) for call in self.calls]
        return calls + [Group((), (append,)) for append in self.appends]


def take_wanted(calls: deque[Call]) -> tuple[Call, ...]:
    """Those for which somebody still waits; none is left."""
    wanted = tuple(call for call in calls if not call.abandoned())
    calls.clear()
    return wanted


def give(answers: Sequence[Answer]) -> None:
    """In the loop, all at once: waking it for every caller would cost more than the answer."""
    for answer in answers:
        answer()


def resolve(waiter: asyncio.Future[Result], result: Result) -> None:
    """Unless the waiter has gone."""
    if not waiter.done():
        waiter.set_result(result)


def fail(waiter: asyncio.Future[Result], error: Exception) -> None:
    """Unless the waiter has gone."""
    if not waiter.done():
        waiter.set_exception(error)
