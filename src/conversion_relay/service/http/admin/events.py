"""The admin paths: what is kept, and what an operator does with it.

Knows the store by its port. Shows counts, states and reasons, and what was received and is sent
with its values masked; the values only to operators who ask for them, which is logged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, HTTPException, Path, Query
from pydantic import JsonValue
from starlette.responses import Response

from conversion_relay.core.decoding import Decoded
from conversion_relay.service.cases import Case, Fate, Wanted
from conversion_relay.service.http.admin.access import Caller
from conversion_relay.service.http.admin.forms import (
    Count,
    DiscardAnswer,
    DiscardAsked,
    EventsAsked,
    Reason,
    ReplayAnswer,
    ReplayAsked,
)
from conversion_relay.service.http.admin.guard import caller_of, needs_operate
from conversion_relay.service.http.admin.masking import MASK, masked, name_shown
from conversion_relay.service.http.admin.shown import (
    DeliveryShown,
    EventsAnswer,
    EventShown,
    RequestShown,
)
from conversion_relay.service.http.turns import Pace
from conversion_relay.service.logs import Log
from conversion_relay.service.replay import Page, Replay, element_of, name_of
from conversion_relay.service.store.port import (
    KeptDelivery,
    KeptEvent,
    RequestRecord,
    Selection,
    Store,
)

_EventId = Annotated[int, Path(ge=1, lt=2**63, description="of a kept event")]
_Reveal = Annotated[bool, Query(description="with original and bodies, which hold personal data")]
_Caller = Annotated[Caller, Depends(caller_of)]
EVENTS: Final = "/api/events"
REPLAYS: Final = "/api/replays"
DISCARDS: Final = "/api/discards"
_OPENED_EVENTS: Final = 50
"""Of one page, for which all that is known of them is read and written out."""


def admin_router(store: Store, replay: Replay, log: Log) -> APIRouter:
    """The paths behind the admin token."""
    router = APIRouter()
    _add_events(router, store, log)
    _add_one_event(router, store, log)
    _add_replay(router, replay)
    return router


@dataclass(frozen=True, slots=True)
class _Inside:
    """What is shown of an event besides its states.

    Attributes:
        original: as received.
        bodies: what is sent, by the id of the delivery.
        requests: the same.
    """

    original: bytes | None = field(default=None, repr=False)
    bodies: Mapping[int, bytes | None] = field(default_factory=dict, repr=False)
    requests: Mapping[int, Sequence[RequestRecord]] = field(default_factory=dict)


def _add_events(router: APIRouter, store: Store, log: Log) -> None:
    @router.get(
        EVENTS,
        summary="Kept events with their deliveries, a page at a time",
        response_model=EventsAnswer,
    )
    async def events(
        asked: Annotated[EventsAsked, Query()], caller: _Caller
    ) -> Response | EventsAnswer:
        if asked.reveal and not caller.may_operate:
            return needs_operate().response()
        wanted = asked.wanted()
        limit = min(asked.limit, _OPENED_EVENTS) if asked.opens_originals else asked.limit
        page = await store.select(wanted.selection, asked.after, limit)
        pace = Pace()
        chosen = await _chosen(page.events, wanted, pace)
        if asked.reveal and chosen:
            log.info("operator.revealed", events=len(chosen), by=caller.name)
        found: list[EventShown] = []
        for case in chosen:
            inside = await _opened(case, store) if asked.opens_originals else _Inside()
            found.append(_shown(case, inside, revealed=asked.reveal))
            await pace.breathe()
        return EventsAnswer(events=found, after=page.after, share=page.share)


def _add_one_event(router: APIRouter, store: Store, log: Log) -> None:
    @router.get(
        f"{EVENTS}/{{event}}",
        summary="Everything that is known of a kept event, its values masked unless revealed",
        response_model=EventShown,
    )
    async def one_event(
        event: _EventId, caller: _Caller, *, reveal: _Reveal = False
    ) -> Response | EventShown:
        if reveal and not caller.may_operate:
            return needs_operate().response()
        page = await store.select(Selection(), event - 1, 1)
        found = next((one for one in page.events if one.id == event), None)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        case = Case(found, name_of(found), EventsAsked().wanted())
        if reveal:
            log.info("operator.revealed", events=1, by=caller.name)
        inside = replace(await _opened(case, store), requests=await _requests(case, store))
        return _shown(case, inside, revealed=reveal)


async def _opened(case: Case, store: Store) -> _Inside:
    """The event with what was received and what would be sent."""
    event = case.event
    bodies = {one.record.id: await store.body(one.record.id) for one in event.deliveries}
    return _Inside(event.original, bodies)


async def _requests(case: Case, store: Store) -> Mapping[int, Sequence[RequestRecord]]:
    ids = [one.record.id for one in case.event.deliveries]
    return {one: await store.history.attempts(one) for one in ids}


async def _chosen(events: Sequence[KeptEvent], wanted: Wanted, pace: Pace) -> list[Case]:
    """Those of the selected events that are meant by their names as well."""
    chosen: list[Case] = []
    for event in events:
        case = Case(event, name_of(event), wanted)
        if case.meant or case.is_meant_itself:
            chosen.append(case)
        await pace.breathe()
    return chosen


def _add_replay(router: APIRouter, replay: Replay) -> None:
    @router.post(REPLAYS, summary="Send a page of kept events again, or say what would be")
    async def replays(asked: ReplayAsked) -> ReplayAnswer:
        act = replay.preview if asked.dry_run else replay.send
        page = await act(asked.wanted(), asked.source, asked.after)
        return _replay_answer(page, asked)

    @router.post(DISCARDS, summary="Suppress a page of what is not to be sent any more")
    async def discards(asked: DiscardAsked) -> DiscardAnswer:
        act = replay.discardable if asked.dry_run else replay.discard
        page = await act(asked.wanted(), asked.after)
        counts = Counter[str]()
        for name, count in page.counts.items():
            counts[name_shown(name)] += count
        return DiscardAnswer(
            dry_run=asked.dry_run, counts=counts, after=page.after, share=page.share
        )


def _replay_answer(page: Page, asked: ReplayAsked) -> ReplayAnswer:
    counts = Counter[tuple[str, Fate]]()
    for (name, fate), count in page.counts.items():
        counts[name_shown(name), fate] += count
    return ReplayAnswer(
        dry_run=asked.dry_run,
        counts=[
            Count(event=name, fate=fate, count=count) for (name, fate), count in counts.items()
        ],
        reasons=[
            Reason(
                destination=note.destination,
                mapping=note.mapping,
                field=note.field,
                reason=note.reason,
                count=count,
            )
            for note, count in page.reasons.items()
        ],
        after=page.after,
        share=page.share,
    )


def _shown(case: Case, inside: _Inside, *, revealed: bool) -> EventShown:
    event, meant = case.event, case.meant
    named = _plainly if revealed else name_shown
    return EventShown(
        id=event.id,
        source=event.source,
        message_id=named(event.message_id),
        type=event.type,
        event=None if case.segment_name is None else named(case.segment_name),
        received_at=event.received_at,
        disposition=event.disposition,
        reason=event.reason,
        rejections=[f"{one.mapping}: {one.field}: {one.reason}" for one in event.rejections],
        suppressions=[
            f"{one.destination}: {one.mapping}: {one.field}: {one.reason}"
            for one in event.suppressions
        ],
        deliveries=[
            _delivery_shown(one, inside, revealed=revealed).model_copy(
                update={"is_meant": one in meant}
            )
            for one in event.deliveries
        ],
        original=_text(inside.original) if revealed else None,
        masked_original=None if revealed else _masked(inside.original),
    )


def _delivery_shown(delivery: KeptDelivery, inside: _Inside, *, revealed: bool) -> DeliveryShown:
    record = delivery.record
    named = _plainly if revealed else name_shown
    body, requests = inside.bodies.get(record.id), inside.requests.get(record.id)
    return DeliveryShown(
        id=record.id,
        destination=record.destination,
        mapping=record.mapping,
        event=named(record.event_name),
        event_id=None if delivery.event_id is None else named(delivery.event_id),
        state=record.state,
        attempts=record.attempts,
        reason=record.reason,
        accepted_at=record.accepted_at,
        settled_at=record.settled_at,
        first_unknown_at=delivery.first_unknown_at,
        is_meant=True,
        body=_text(body) if revealed else None,
        masked_body=None if revealed else _masked(body),
        requests=None if requests is None else [RequestShown.of(one) for one in requests],
    )


def _plainly(name: str) -> str:
    return name


def _masked(content: bytes | None) -> JsonValue:
    """What was received may be no JSON at all."""
    element = element_of(content)
    if element is None or isinstance(element, Decoded):
        return None if element is None else masked(element.value)
    return f"{MASK} no JSON"


def _text(content: bytes | None) -> str | None:
    """What was received may be no text at all."""
    return None if content is None else content.decode(errors="replace")
