"""What operators ask of the admin paths, and what comes of it: the border, checked by pydantic.

Knows no store; `admin` turns these into what the service understands, and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Annotated, Final, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from conversion_relay.core.delivery import State
from conversion_relay.service.cases import Fate, Wanted
from conversion_relay.service.replay import DISCARDABLE, PAGE_EVENTS, Source
from conversion_relay.service.store.port import Disposition, Selection

Kind = TypeVar("Kind", State, Disposition)
LARGEST_ID: Final = 2**63 - 1
_MOST_MESSAGE_IDS: Final = 1000


class Standing(Enum):
    """What can be selected: a delivery's state, or what became of an event without any."""

    DEAD = "dead"
    UNCERTAIN = "uncertain"
    HELD = "held"
    SUPPRESSED = "suppressed"
    PENDING = "pending"
    CLAIMED = "claimed"
    DELIVERED = "delivered"
    UNMATCHED = "unmatched"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"
    FILTERED = "filtered"


DEAD_LETTERS: Final = (Standing.DEAD, Standing.UNCERTAIN)
_STATES: Final = {one.value: one for one in State}
_DISPOSITIONS: Final = {one.value: one for one in Disposition} | {
    Standing.FILTERED.value: Disposition.SUPPRESSED  # and none that somebody discarded
}
After = Annotated[int, Field(ge=0, le=LARGEST_ID, description="where the page begins")]


def _discardable(states: list[Standing]) -> list[Standing]:
    allowed = sorted(state.value for state in DISCARDABLE)
    if any(one.value not in allowed for one in states):
        raise PydanticCustomError(
            "state", "only what is {allowed} can be discarded", {"allowed": ", ".join(allowed)}
        )
    return states


def _storable(text: str) -> str:
    """JSON can say half a character, which is no text in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("text", "it must be text in UTF-8") from None
    return text


_Text = Annotated[str, AfterValidator(_storable), Field(min_length=1)]


def _among(known: Mapping[str, Kind], names: Iterable[Standing]) -> frozenset[Kind]:
    return frozenset(known[name.value] for name in names if name.value in known)


class Filters(BaseModel):
    """Which kept deliveries are meant; every condition that is given has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    state: Annotated[
        list[Standing],
        Field(description="any of these: a delivery's state, or an event's disposition"),
    ] = []
    since: Annotated[AwareDatetime | None, Field(description="received then or later")] = None
    until: Annotated[AwareDatetime | None, Field(description="received before")] = None
    destination: Annotated[_Text | None, Field(description="for this destination")] = None
    mapping: Annotated[_Text | None, Field(description="made by this mapping")] = None
    event: Annotated[
        _Text | None, Field(description="Segment's name of the event, or TikTok's of the delivery")
    ] = None
    message_id: Annotated[
        list[_Text], Field(max_length=_MOST_MESSAGE_IDS, description="of one of these events")
    ] = []

    def wanted(self) -> Wanted:
        """The same in the service's words."""
        selection = Selection(
            states=_among(_STATES, self.state),
            dispositions=_among(_DISPOSITIONS, self.state),
            since=self.since,
            until=self.until,
            destination=self.destination,
            mapping=self.mapping,
            message_ids=frozenset(self.message_id),
        )
        return Wanted(selection, self.event)


class EventsAsked(Filters):
    """Which kept events are to be shown; without a state, every one."""

    after: After = 0
    limit: Annotated[int, Field(ge=1, le=PAGE_EVENTS, description="events of a page")] = 100
    reveal: Annotated[
        bool, Field(description="with original and bodies, which hold personal data")
    ] = False
    masked: Annotated[
        bool, Field(description="with the structure of original and bodies, values masked")
    ] = False

    @property
    def opens_originals(self) -> bool:
        """Whether all that is known of each event has to be read."""
        return self.reveal or self.masked

    def wanted(self) -> Wanted:
        """The same in the service's words."""
        if self.state:
            return super().wanted()
        selection = super().wanted().selection
        asked_of_deliveries = self.destination is not None or self.mapping is not None
        dispositions = frozenset[Disposition]() if asked_of_deliveries else frozenset(Disposition)
        every = replace(selection, states=frozenset(State), dispositions=dispositions)
        return Wanted(every, self.event)


class ReplayAsked(Filters):
    """One page of a replay."""

    state: Annotated[
        list[Standing],
        Field(min_length=1, description="a delivery's state, or an event's disposition"),
    ] = [Standing.DEAD]
    source: Annotated[
        Source, Field(description="what was received with today's mappings, or as it was sent")
    ] = Source.ORIGINAL
    dry_run: Annotated[bool, Field(description="only say what would happen")] = True
    after: After = 0

    @model_validator(mode="after")
    def _was_made(self) -> Self:
        bodiless = [one for one in self.state if one.value not in _STATES]
        if self.source is Source.AS_SENT and bodiless:
            raise PydanticCustomError(
                "source", "nothing was made of such events, so they can go from the original only"
            )
        return self


class DiscardAsked(Filters):
    """One page of what is to be discarded."""

    state: Annotated[
        list[Standing],
        Field(min_length=1, description="dead, uncertain or held"),
        AfterValidator(_discardable),
    ] = [*DEAD_LETTERS]
    dry_run: Annotated[bool, Field(description="only say what would happen")] = True
    after: After = 0


class PageAnswer(BaseModel):
    """How far a page got."""

    after: Annotated[int | None, Field(description="where the next page begins; null: the last")]
    share: Annotated[float, Field(description="of what there is, looked through: 0 to 1")]


class Count(BaseModel):
    """How often something becomes of events with one name."""

    event: Annotated[str, Field(description="Segment's name of the event")]
    fate: Fate
    count: int


class Reason(BaseModel):
    """Why today's mappings make nothing of events, and how often."""

    destination: str
    mapping: str
    field: str
    reason: str
    count: int


class ReplayAnswer(PageAnswer):
    """What came, or would come, of one page."""

    dry_run: bool
    counts: list[Count]
    reasons: list[Reason]


class DiscardAnswer(PageAnswer):
    """What was, or would be, discarded of one page, by the event's name."""

    dry_run: bool
    counts: dict[str, int]
