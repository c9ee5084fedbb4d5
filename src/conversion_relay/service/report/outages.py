"""When a destination did not accept, found from its answers. Pure: knows no store.

An outage begins with a failing answer and ends with the first accepted one. What is refused for an
event's own sake is no outage, and neither is what failed beside requests that were accepted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from conversion_relay.service.store.history import AnswerCount, RequestRecord

ACCEPTED: Final = "accepted"
OF_AN_EVENT: Final = frozenset({"refused", "suspect", "companion"})
"""Results that say something of an event, and nothing of the destination."""
_LEAST_REQUESTS: Final = 3
"""A single request that fails and goes through again is an ordinary day of the network."""
Kind = tuple[str, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which a destination accepted nothing.

    Attributes:
        begin: the first failing answer, as exactly as it is known.
        end: the first accepted answer after it; None when none came within the period.
        requests: that failed in it.
        kinds: result, HTTP status and code of the answers, most frequent first.
    """

    destination: str
    begin: datetime
    end: datetime | None
    requests: int
    kinds: tuple[Kind, ...]

    def lasted(self, until: datetime) -> timedelta:
        """How long, as far as it lies before the end of the period."""
        return (self.end or until) - self.begin


def outages_of(answers: Iterable[AnswerCount], step: timedelta) -> list[Outage]:
    """Every outage, oldest first; begin and end are those of the steps of the answers."""
    ordered = sorted(answers, key=lambda one: (one.destination, one.begin))
    found = []
    for destination, own in groupby(ordered, key=lambda one: one.destination):
        found += _of_one(destination, list(own), step)
    return sorted(found, key=lambda one: (one.begin, one.destination))


def _of_one(destination: str, answers: Sequence[AnswerCount], step: timedelta) -> list[Outage]:
    """Steps without an accepted answer in a row, up to the first step that has one."""
    found: list[Outage] = []
    failing: list[AnswerCount] = []
    before: list[AnswerCount] = []
    for begin, group in groupby(answers, key=lambda one: one.begin):
        here = list(group)
        failed = [one for one in here if one.result not in {ACCEPTED, *OF_AN_EVENT}]
        if all(one.result != ACCEPTED for one in here):
            # What failed in the step just before, beside accepted ones, may have been its begin.
            near = [one for one in before if begin - one.begin <= step]
            failing, before = [*failing, *near, *failed], []
            continue
        if failing:
            found.append(_outage(destination, failing, begin))
        failing, before = [], failed
    if failing:
        found.append(_outage(destination, failing, None))
    return [one for one in found if one.requests >= _LEAST_REQUESTS]


def _outage(destination: str, failing: Sequence[AnswerCount], end: datetime | None) -> Outage:
    kinds = Counter[Kind]()
    for one in failing:
        kinds[one.result, one.status, one.code] += one.requests
    frequent = tuple(kind for kind, _ in kinds.most_common())
    begin = min(one.begin for one in failing)
    return Outage(destination, begin, end, kinds.total(), frequent)


def sharpened(
    outage: Outage, first: Iterable[RequestRecord], last: Iterable[RequestRecord]
) -> Outage:
    """The outage to the second.

    Args:
        outage: as found from steps.
        first: requests of the step it began in and of the next, before that of its end.
        last: requests of the step it ended in.
    """
    begin, end = _first_failing(outage, first), _first_accepted(outage, last)
    return replace(outage, begin=begin or outage.begin, end=end or outage.end)


def _first_failing(outage: Outage, requests: Iterable[RequestRecord]) -> datetime | None:
    """The first of those after the last accepted one."""
    begin = None
    for one in _own(outage, requests):
        if one.result == ACCEPTED:
            begin = None
        elif one.result not in OF_AN_EVENT and begin is None:
            begin = one.sent_at
    return begin


def _first_accepted(outage: Outage, requests: Iterable[RequestRecord]) -> datetime | None:
    accepted = (one for one in _own(outage, requests) if one.result == ACCEPTED)
    first = next(accepted, None)
    return None if first is None else first.sent_at + timedelta(seconds=first.seconds)


def _own(outage: Outage, requests: Iterable[RequestRecord]) -> list[RequestRecord]:
    own = (one for one in requests if one.destination == outage.destination)
    return sorted(own, key=lambda one: one.sent_at)
