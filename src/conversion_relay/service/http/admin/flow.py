"""The admin paths of the flow: counts over time, what waits, what the partner answered, alerts.

Counts, names and the partner's words. Knows the past by its port, and nothing of an event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import Response

from conversion_relay.service.http.admin.shown import RequestShown, Shown
from conversion_relay.service.http.admin.span import Span, SpanAsked, StepsAsked
from conversion_relay.service.http.problems import Problem
from conversion_relay.service.metrics.catalogue import COUNTERS
from conversion_relay.service.store.history import (
    CANARY_SOURCE,
    AnswerCount,
    FlowCount,
    History,
)

FLOW: Final = "/api/flow"
REQUESTS: Final = "/api/requests"
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_PREFIX: Final = "relay_"
_Clock: TypeAlias = Callable[[], datetime]
_Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """What is counted under one name of the answer.

    Attributes:
        measure: the counter, without prefix.
        by: those of its labels by which it is told; over the others it is summed.
    """

    measure: str
    by: tuple[str, ...]


GROUPS: Final[Mapping[str, Group]] = {
    "received": Group("events_kept", ("source", "disposition")),
    "duplicates": Group("events_duplicate", ("source",)),
    "refused": Group("requests_refused", ("source", "problem")),
    "turned_away": Group("turned_away", ("problem",)),
    "rejected": Group("mapping_rejections", ("source", "destination", "mapping")),
    "planned": Group("deliveries_planned", ("source", "destination", "event")),
    "settled": Group("deliveries_settled", ("destination", "state")),
    "requests": Group("destination_requests", ("destination", "result")),
}
"""By the name in the answer."""


class Series(BaseModel):
    """How often something happened in each step."""

    by: Annotated[dict[str, str], Field(description="what these have in common")]
    counts: Annotated[list[int], Field(description="one for each step")]
    total: int


class AnswerSeries(Shown):
    """Requests that were answered alike, in each step."""

    destination: str
    result: Annotated[str, Field(description="accepted, or the kind of outcome")]
    status: Annotated[int | None, Field(description="of HTTP; null: no answer")]
    code: Annotated[int | None, Field(description="TikTok's own")]
    requests: Annotated[list[int], Field(description="one for each step")]
    events: Annotated[list[int], Field(description="that travelled in them")]


class FlowAnswer(Shown):
    """The flow of some time, in steps, without canaries; the last minute may be missing yet."""

    since: AwareDatetime
    until: AwareDatetime
    step_seconds: int
    begins: Annotated[list[AwareDatetime], Field(description="of the steps")]
    received: Annotated[list[Series], Field(description="new events, by source and disposition")]
    duplicates: Annotated[list[Series], Field(description="known events, by source")]
    refused: Annotated[list[Series], Field(description="requests, by source and problem")]
    turned_away: Annotated[list[Series], Field(description="before they were of a source")]
    rejected: Annotated[list[Series], Field(description="what a mapping could not use")]
    planned: Annotated[
        list[Series], Field(description="new deliveries, by source, destination, TikTok's event")
    ]
    settled: Annotated[
        list[Series],
        Field(description="ends of attempts, by destination and state after it; pending: retried"),
    ]
    requests: Annotated[list[Series], Field(description="by destination and result")]
    answers: Annotated[list[AnswerSeries], Field(description="by HTTP status and TikTok's code")]


class RequestsAsked(SpanAsked):
    """Which requests are meant."""

    limit: Annotated[int, Field(ge=1, le=500, description="the newest so many")] = 100


class RequestsAnswer(BaseModel):
    """Requests to destinations, the newest first."""

    requests: list[RequestShown]


def flow_router(history: History, clock: _Clock) -> APIRouter:
    """The paths of what happened.

    Args:
        history: where it is kept.
        clock: gives the present, aware, in UTC.
    """
    router = APIRouter()

    @router.get(FLOW, summary="How much came in and went out, in steps", response_model=FlowAnswer)
    async def flow(asked: Annotated[StepsAsked, Query()]) -> Response | FlowAnswer:
        span = asked.span(clock(), _HOUR)
        if isinstance(span, Problem):
            return span.response()
        step = asked.pace(span)
        if isinstance(step, Problem):
            return step.response()
        counts = await history.flow(span.since, span.until, step)
        answers = await history.answers(span.since, span.until, step)
        return _answer(_Course(span, step), counts, answers)

    @router.get(
        REQUESTS,
        summary="The newest requests to destinations, and what came back",
        response_model=RequestsAnswer,
    )
    async def requests(asked: Annotated[RequestsAsked, Query()]) -> Response | RequestsAnswer:
        span = asked.span(clock(), _DAY)
        if isinstance(span, Problem):
            return span.response()
        found = await history.requests(span.since, span.until, asked.limit)
        return RequestsAnswer(requests=[RequestShown.of(one) for one in found])

    return router


@dataclass(frozen=True, slots=True)
class _Course:
    span: Span
    step: timedelta

    def counted(self, found: Iterable[tuple[datetime, int]]) -> list[int]:
        """The sum of each step."""
        counts = [0] * len(self.span.steps(self.step))
        for begin, count in found:
            counts[max(0, (begin - self.span.since) // self.step)] += count
        return counts


def _answer(
    course: _Course, counts: Sequence[FlowCount], answers: Sequence[AnswerCount]
) -> FlowAnswer:
    series = {name: _series(course, group, counts) for name, group in GROUPS.items()}
    return FlowAnswer(
        since=course.span.since,
        until=course.span.until,
        step_seconds=int(course.step.total_seconds()),
        begins=course.span.steps(course.step),
        answers=_answer_series(course, answers),
        **series,
    )


def _series(course: _Course, group: Group, counts: Iterable[FlowCount]) -> list[Series]:
    labels = COUNTERS[f"{_PREFIX}{group.measure}"].labels
    found: dict[_Key, list[tuple[datetime, int]]] = defaultdict(list)
    for one in counts:
        if one.measure == group.measure:
            named = dict(zip(labels, one.labels, strict=False))
            if named.get("source") == CANARY_SOURCE:
                continue
            key = tuple(named.get(label, "") for label in group.by)
            found[key].append((one.minute, one.count))
    return [
        Series(
            by=dict(zip(group.by, key, strict=True)),
            counts=course.counted(moments),
            total=sum(count for _, count in moments),
        )
        for key, moments in sorted(found.items())
    ]


def _answer_series(course: _Course, answers: Iterable[AnswerCount]) -> list[AnswerSeries]:
    found: dict[tuple[str, str, int | None, int | None], list[AnswerCount]] = defaultdict(list)
    for one in answers:
        found[one.destination, one.result, one.status, one.code].append(one)
    return [
        AnswerSeries(
            destination=destination,
            result=result,
            status=status,
            code=code,
            requests=course.counted((one.begin, one.requests) for one in alike),
            events=course.counted((one.begin, one.events) for one in alike),
        )
        for (destination, result, status, code), alike in found.items()
    ]
