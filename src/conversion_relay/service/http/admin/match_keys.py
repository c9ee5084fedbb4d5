"""The report on match keys: how many conversions carry which, with and without memory.

Counts only; it knows nobody. Knows the store by its port.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Final, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from conversion_relay.service.store.persons import ANY_KEY
from conversion_relay.service.store.port import KeyCounted, Store

PATH: Final = "/api/match-keys"
DAYS_SHOWN: Final = 7
"""Up to the last day, where no first day is asked for."""


class MatchKeysAsked(BaseModel):
    """Which days are meant, in UTC; both are included."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    since: Annotated[date | None, Field(description="the first day; default: a week in all")] = (
        None
    )
    until: Annotated[date | None, Field(description="the last day; default: today")] = None

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise PydanticCustomError("days", "since must not be later than until")
        return self

    def days(self, today: date) -> tuple[date, date]:
        """The first and the last."""
        until = self.until or max(today, self.since or today)
        if self.since is not None:
            return self.since, until
        earliest = date.min + timedelta(days=DAYS_SHOWN)
        return max(until, earliest) - timedelta(days=DAYS_SHOWN - 1), until


class KeyShown(BaseModel):
    """How many of a destination's conversions carry a match key."""

    key: str
    before: Annotated[int, Field(description="as they came")]
    after: Annotated[int, Field(description="with what was remembered")]


class DestinationShown(BaseModel):
    """The match keys of a destination's conversions."""

    destination: str
    conversions: Annotated[int, Field(description="that were made for it")]
    keys: Annotated[list[KeyShown], Field(description="every one there is, in a fixed order")]
    none: Annotated[KeyShown, Field(description="conversions without any")]


class MatchKeysAnswer(BaseModel):
    """The report."""

    since: date
    until: date
    destinations: list[DestinationShown]


def match_keys_router(
    store: Store, known: Mapping[str, Sequence[str]], clock: Callable[[], datetime]
) -> APIRouter:
    """The path of the report.

    Args:
        store: where the counts are.
        known: the configured destinations with the keys they recognise people by.
        clock: gives the present, aware, in UTC.
    """
    router = APIRouter()

    @router.get(PATH, summary="How many conversions carry which match keys, by destination")
    async def match_keys(asked: Annotated[MatchKeysAsked, Query()]) -> MatchKeysAnswer:
        since, until = asked.days(clock().date())
        found = await store.key_report(since, until)
        names = dict.fromkeys((*known, *(one.destination for one in found)))
        shown = [_shown(name, known.get(name, ()), found) for name in names]
        return MatchKeysAnswer(since=since, until=until, destinations=shown)

    return router


def _shown(
    destination: str, known: Sequence[str], found: Iterable[KeyCounted]
) -> DestinationShown:
    before, after, total = Counter[str](), Counter[str](), 0
    for one in found:
        if one.destination == destination:
            before[one.key] += one.before
            after[one.key] += one.after
            total += one.events if one.key == ANY_KEY else 0
    others = sorted(after.keys() - {ANY_KEY, *known})
    return DestinationShown(
        destination=destination,
        conversions=total,
        keys=[
            KeyShown(key=key, before=before[key], after=after[key]) for key in (*known, *others)
        ],
        none=KeyShown(key="none", before=total - before[ANY_KEY], after=total - after[ANY_KEY]),
    )
