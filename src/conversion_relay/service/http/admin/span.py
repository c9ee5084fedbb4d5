"""From when to when something is asked for, and in which steps: the border, by pydantic.

Knows no store. What needs the present to be judged is a Problem, not a ValidationError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from conversion_relay.service.http.problems import Problem

MOST_STEPS: Final = 1500
_STEPS_BY_DEFAULT: Final = 120
_MINUTE: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Span:
    """Some time.

    Attributes:
        since: aware, in UTC, a whole minute; included.
        until: the same, but any moment; not included.
    """

    since: datetime
    until: datetime

    def steps(self, step: timedelta) -> list[datetime]:
        """The beginnings of the steps."""
        return list(self._steps(step))

    def _steps(self, step: timedelta) -> Iterator[datetime]:
        for number in range(-(-(self.until - self.since) // step)):
            yield self.since + number * step


class SpanAsked(BaseModel):
    """Which time is meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    since: Annotated[
        AwareDatetime | None, Field(description="from the minute of this time on")
    ] = None
    until: Annotated[
        AwareDatetime | None, Field(description="up to this time, which is left out; default: now")
    ] = None

    def span(self, now: datetime, usual: timedelta) -> Span | Problem:
        """The time that is meant; of the usual length where no beginning is given."""
        try:
            until = (self.until or now).astimezone(UTC)
            since = self.since.astimezone(UTC) if self.since else until - usual
        except OverflowError:
            return _wrong("since and until must be times between the years 2 and 9998")
        since = since.replace(second=0, microsecond=0)
        if since >= until:
            return _wrong("since must be earlier than until, or than now where until is left out")
        if until - since > _LONGEST:
            return _wrong("between since and until there may be a year, and no more")
        return Span(since, until)


class StepsAsked(SpanAsked):
    """Which time is meant, and in which steps."""

    step: Annotated[
        int | None,
        Field(
            ge=60,
            le=31 * 86_400,
            multiple_of=60,
            description="seconds of a step, whole minutes; default: what makes up to 120 steps",
        ),
    ] = None

    def pace(self, span: Span) -> timedelta | Problem:
        """The length of a step."""
        length = span.until - span.since
        if self.step is None:
            return _MINUTE * max(1, -(-length // (_MINUTE * _STEPS_BY_DEFAULT)))
        if length > MOST_STEPS * timedelta(seconds=self.step):
            return _wrong(f"there may be {MOST_STEPS} steps; ask for longer or for fewer ones")
        return timedelta(seconds=self.step)


def _wrong(detail: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
