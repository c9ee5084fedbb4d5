"""How events, deliveries, requests and lanes are shown by the admin paths: the border.

Knows no store; what is filled in is decided where it is asked for.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, RootModel
from pydantic.alias_generators import to_camel

from conversion_relay.core.delivery import State
from conversion_relay.core.lane import Condition
from conversion_relay.service.http.admin.forms import PageAnswer
from conversion_relay.service.store.port import Disposition, RequestRecord


class Shown(BaseModel):
    """Named as Segment names things."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class RequestShown(Shown):
    """A request to a destination, and what came back."""

    destination: str
    sent_at: AwareDatetime
    seconds: Annotated[float, Field(description="until the answer, or until it was given up")]
    events: Annotated[int, Field(description="that travelled in it")]
    result: Annotated[str, Field(description="accepted, or the kind of outcome")]
    status: Annotated[int | None, Field(description="of HTTP; null: no answer")]
    code: Annotated[int | None, Field(description="TikTok's own")]
    request_id: Annotated[str | None, Field(description="TikTok's, for its support")]
    reason: Annotated[str | None, Field(description="why it was not accepted")]

    @staticmethod
    def of(record: RequestRecord) -> RequestShown:
        """The same, to be shown."""
        return RequestShown(**asdict(record))


class DeliveryShown(Shown):
    """A delivery; its body only if that was asked for, and while there is one."""

    id: int
    destination: str
    mapping: str
    event: Annotated[str, Field(description="TikTok's name")]
    event_id: str | None
    state: State
    attempts: int
    reason: str | None
    accepted_at: AwareDatetime
    settled_at: AwareDatetime | None
    first_unknown_at: AwareDatetime | None
    is_meant: Annotated[bool, Field(description="the filters are about this delivery")]
    body: Annotated[str | None, Field(description="what is sent; only if revealed")] = None
    masked_body: Annotated[
        JsonValue, Field(description="what is sent, its values masked; null: not asked for, gone")
    ] = None
    requests: Annotated[
        list[RequestShown] | None,
        Field(description="in which it travelled, oldest first; null: not asked for"),
    ] = None


class EventShown(Shown):
    """A kept event; its original only if that was asked for, and while it is kept."""

    id: int
    source: str
    message_id: str
    type: str
    event: Annotated[str | None, Field(description="Segment's name")]
    received_at: AwareDatetime
    disposition: Disposition
    reason: str | None
    rejections: list[str]
    suppressions: list[str]
    deliveries: list[DeliveryShown]
    original: Annotated[str | None, Field(description="as received; only if revealed")] = None
    masked_original: Annotated[
        JsonValue, Field(description="as received, its values masked; null: not asked for, gone")
    ] = None


class EventsAnswer(PageAnswer):
    """Kept events, in the order in which they were received."""

    events: list[EventShown]


class LaneShown(Shown):
    """How a destination's lane is now."""

    destination: str
    condition: Condition
    since: AwareDatetime | None = Field(description="null: it has flowed since the start")
    reason: str | None = Field(description="why it does not flow, in the partner's words")
    next_at: AwareDatetime | None = Field(description="when it is tried next; null: it flows")
    requests_per_second: float = Field(description="at most")
    batch: int = Field(description="deliveries in the next request, at most")


class LanesAnswer(RootModel[list[LaneShown]]):
    """The lanes of all destinations."""
