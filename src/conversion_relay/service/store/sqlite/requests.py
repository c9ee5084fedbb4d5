"""Requests to destinations, what came back, and who travelled in them. Knows no thread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import apsw
import orjson

from conversion_relay.service.store.history import AnswerCount, RequestRecord
from conversion_relay.service.store.sqlite.queries import QUERIES
from conversion_relay.service.store.sqlite.times import nearest_moment, to_microseconds

_MICROSECOND: Final = timedelta(microseconds=1)
_PAGE: Final = 20_000
_CODES: Final = 2**63


class _RequestRow(NamedTuple):
    """One row of the queries, its time in microseconds."""

    destination: str
    sent_at: int
    seconds: float
    events: int
    result: str
    status: int | None
    code: int | None
    request_id: str | None
    reason: str | None


class _AnswerKey(NamedTuple):
    """What requests that are counted together have in common; the step they were sent in."""

    step: int
    destination: str
    result: str
    status: int | None
    code: int | None


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
        """The row of a request that was not kept yet; a code that fits no column is left out."""
        code = record.code
        return KeptRequest(
            (
                record.destination,
                to_microseconds(record.sent_at),
                record.seconds,
                record.events,
                record.result,
                record.status,
                code if code is None or -_CODES <= code < _CODES else None,
                record.request_id,
                record.reason,
            ),
            orjson.dumps(record.undecided).decode(),
        )


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
        self._since = since
        self._step = step
        self._asked = {
            "since": to_microseconds(since),
            "until": to_microseconds(until),
            "step": step // _MICROSECOND,
            "limit": _PAGE,
            "at": to_microseconds(since),
            "id": -1,
        }
        self._requests: Counter[_AnswerKey] = Counter()
        self._events: Counter[_AnswerKey] = Counter()

    def add(self, connection: apsw.Connection) -> bool:
        """The next page; whether there is nothing more."""
        last, found = connection.execute(QUERIES["answers"], self._asked).get
        for *key, requests, events in orjson.loads(found):
            self._requests[_AnswerKey(*key)] += requests
            self._events[_AnswerKey(*key)] += events
        if last is not None:
            self._asked["at"], self._asked["id"] = orjson.loads(last)
        return last is None

    def result(self) -> tuple[AnswerCount, ...]:
        """Oldest first."""
        counts = [
            AnswerCount(self._since + key.step * self._step, *key[1:], count, self._events[key])
            for key, count in self._requests.items()
        ]
        return tuple(sorted(counts, key=_in_order))


def _in_order(count: AnswerCount) -> tuple[datetime, str, str, int, int]:
    return count.begin, count.destination, count.result, count.status or 0, count.code or 0


def _records(found: str) -> tuple[RequestRecord, ...]:
    rows = (_RequestRow(*values) for values in orjson.loads(found))
    return tuple(
        RequestRecord(row.destination, nearest_moment(row.sent_at), *row[2:]) for row in rows
    )
