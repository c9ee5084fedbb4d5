"""Requests to destinations, what came back, and who travelled in them. Knows no thread."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import apsw
import orjson

from conversion_relay.service.store.history import AnswerCount, RequestRecord
from conversion_relay.service.store.past_rows import RequestRow, request_record, request_row
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sums import MICROSECOND, AnswerRow, AnswerSum
from conversion_relay.service.store.times import to_microseconds

_PAGE: Final = 20_000


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request as its row.

    Attributes:
        undecided: the ids of deliveries that stay claimed, a JSON array.
        id: None: the next one.
    """

    row: tuple[str | int | float | None, ...]
    undecided: str = "[]"
    id: int | None = None

    @staticmethod
    def of(record: RequestRecord) -> KeptRequest:
        """The row of a request that was not kept yet."""
        undecided = orjson.dumps(record.undecided).decode()
        return KeptRequest(request_row(record), undecided)


def next_request(connection: apsw.Connection) -> int:
    """The id that the next request gets."""
    number: int = connection.execute(QUERIES["next_request"]).get
    return number


def keep_request(connection: apsw.Connection, request: KeptRequest) -> int:
    """Keep a request, inside a transaction; gives its id. What is there already stays."""
    connection.execute(QUERIES["keep_request"], (request.id, *request.row))
    number = connection.last_insert_rowid() if request.id is None else request.id
    asked = {"request": number, "deliveries": request.undecided}
    connection.execute(QUERIES["travelled_in"], asked)
    return number


def attempts(connection: apsw.Connection, delivery: int) -> tuple[RequestRecord, ...]:
    """The requests in which this delivery travelled, oldest first."""
    found: str = connection.execute(QUERIES["attempts"], {"delivery": delivery}).get
    return _records(found)


def newest(
    connection: apsw.Connection, since: datetime, until: datetime, limit: int
) -> tuple[RequestRecord, ...]:
    """The newest requests of that time, newest first."""
    asked = {"since": to_microseconds(since), "until": to_microseconds(until), "limit": limit}
    found: str = connection.execute(QUERIES["newest_requests"], asked).get
    return _records(found)


class Answers:
    """Adds up what came back in that time, a page of requests at a time."""

    def __init__(self, since: datetime, until: datetime, step: timedelta) -> None:
        self._sum = AnswerSum(since, step)
        self._asked = {
            "since": to_microseconds(since),
            "until": to_microseconds(until),
            "step": step // MICROSECOND,
            "limit": _PAGE,
            "at": to_microseconds(since),
            "id": -1,
        }

    def add(self, connection: apsw.Connection) -> bool:
        """The next page; whether there is nothing more."""
        last, found = connection.execute(QUERIES["answers"], self._asked).get
        self._sum.add(AnswerRow(*values) for values in orjson.loads(found))
        if last is not None:
            self._asked["at"], self._asked["id"] = orjson.loads(last)
        return last is None

    def result(self) -> tuple[AnswerCount, ...]:
        """Oldest first."""
        return self._sum.result()


def _records(found: str) -> tuple[RequestRecord, ...]:
    return tuple(request_record(RequestRow(*values)) for values in orjson.loads(found))
