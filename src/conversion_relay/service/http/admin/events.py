"""The admin paths: what is kept, and what an operator does with it.

Knows the store by its port. Shows counts, states and reasons; what was received and what is sent
only to those who ask for it, which is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Query

from conversion_relay import __version__
from conversion_relay.service.cases import Case, Wanted
from conversion_relay.service.http.admin.forms import (
    Count,
    DeliveryShown,
    DiscardAnswer,
    DiscardAsked,
    EventsAnswer,
    EventsAsked,
    EventShown,
    Reason,
    ReplayAnswer,
    ReplayAsked,
)
from conversion_relay.service.http.turns import Pace
from conversion_relay.service.logs import Log
from conversion_relay.service.replay import Page, Replay, name_of
from conversion_relay.service.store.port import (
    DeliveryRecord,
    Disposition,
    KeptDelivery,
    KeptEvent,
    Selection,
    Store,
)

_MessageIds = Annotated[list[str], Query(min_length=1, max_length=100)]
_EventId = Annotated[int, Path(ge=1, lt=2**63, description="of a kept event")]
_Reveal = Annotated[bool, Query(description="with original and bodies, which hold personal data")]
EVENTS: Final = "/api/events"
REPLAYS: Final = "/api/replays"
DISCARDS: Final = "/api/discards"
_REVEALED_EVENTS: Final = 50
"""Of one page, for which all that is known of them is read and written out."""


def admin_router(store: Store, replay: Replay, log: Log) -> APIRouter:
    """The paths behind the admin token."""
    router = APIRouter()
    _add_overview(router, store)
    _add_events(router, store, log)
    _add_replay(router, replay)
    return router


def _add_overview(router: APIRouter, store: Store) -> None:
    @router.get("/", summary="Where the admin paths are")
    async def index() -> dict[str, str]:
        return {"service": "conversion-relay", "version": __version__, "status": "/api/status"}

    @router.get("/api/status", summary="What is kept: events by what became of them, deliveries")
    async def status() -> dict[str, dict[str, int] | dict[str, dict[str, int]]]:
        totals = await store.totals()
        deliveries: dict[str, dict[str, int]] = {}
        for (destination, state), count in totals.deliveries.items():
            deliveries.setdefault(destination, {})[state.value] = count
        events = {one.value: totals.events.get(one, 0) for one in Disposition}
        return {"events": events, "deliveries": deliveries}

    @router.get("/api/deliveries", summary="The deliveries of events, by their messageIds")
    async def deliveries(message_id: _MessageIds) -> dict[str, list[dict[str, str | int | None]]]:
        records = await store.deliveries(message_id)
        return {"deliveries": [_brief(record) for record in records]}


def _add_events(router: APIRouter, store: Store, log: Log) -> None:
    @router.get(EVENTS, summary="Kept events with their deliveries, a page at a time")
    async def events(asked: Annotated[EventsAsked, Query()]) -> EventsAnswer:
        wanted = asked.wanted()
        limit = min(asked.limit, _REVEALED_EVENTS) if asked.reveal else asked.limit
        page = await store.select(wanted.selection, asked.after, limit)
        pace = Pace()
        chosen = await _chosen(page.events, wanted, pace)
        if asked.reveal and chosen:
            log.info("operator.revealed", events=len(chosen))
        found: list[EventShown] = []
        for case in chosen:
            found.append(await _revealed(case, store) if asked.reveal else _shown(case, {}))
            await pace.breathe()
        return EventsAnswer(events=found, after=page.after, share=page.share)

    @router.get(f"{EVENTS}/{{event}}", summary="Everything that is known of a kept event")
    async def one_event(event: _EventId, *, reveal: _Reveal = False) -> EventShown:
        page = await store.select(Selection(), event - 1, 1)
        found = next((one for one in page.events if one.id == event), None)
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        case = Case(found, name_of(found), EventsAsked().wanted())
        if not reveal:
            return _shown(case, {})
        log.info("operator.revealed", events=1)
        return await _revealed(case, store)


async def _revealed(case: Case, store: Store) -> EventShown:
    """The event with what was received and what would be sent."""
    event = case.event
    bodies = {one.record.id: await store.body(one.record.id) for one in event.deliveries}
    return _shown(case, bodies).model_copy(update={"original": _text(event.original)})


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
        counts = dict(page.counts)
        return DiscardAnswer(
            dry_run=asked.dry_run, counts=counts, after=page.after, share=page.share
        )


def _replay_answer(page: Page, asked: ReplayAsked) -> ReplayAnswer:
    return ReplayAnswer(
        dry_run=asked.dry_run,
        counts=[
            Count(event=name, fate=fate, count=count)
            for (name, fate), count in page.counts.items()
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


def _brief(record: DeliveryRecord) -> dict[str, str | int | None]:
    return {
        "messageId": record.message_id,
        "destination": record.destination,
        "mapping": record.mapping,
        "event": record.event_name,
        "state": record.state.value,
        "attempts": record.attempts,
        "reason": record.reason,
    }


def _shown(case: Case, bodies: Mapping[int, bytes | None]) -> EventShown:
    event, meant = case.event, case.meant
    return EventShown(
        id=event.id,
        source=event.source,
        message_id=event.message_id,
        type=event.type,
        event=case.segment_name,
        received_at=event.received_at,
        disposition=event.disposition,
        reason=event.reason,
        rejections=[f"{one.mapping}: {one.field}: {one.reason}" for one in event.rejections],
        suppressions=[
            f"{one.destination}: {one.mapping}: {one.field}: {one.reason}"
            for one in event.suppressions
        ],
        deliveries=[
            _delivery_shown(one, bodies.get(one.record.id)).model_copy(
                update={"is_meant": one in meant}
            )
            for one in event.deliveries
        ],
    )


def _delivery_shown(delivery: KeptDelivery, body: bytes | None) -> DeliveryShown:
    record = delivery.record
    return DeliveryShown(
        id=record.id,
        destination=record.destination,
        mapping=record.mapping,
        event=record.event_name,
        event_id=delivery.event_id,
        state=record.state,
        attempts=record.attempts,
        reason=record.reason,
        accepted_at=record.accepted_at,
        settled_at=record.settled_at,
        first_unknown_at=delivery.first_unknown_at,
        is_meant=True,
        body=_text(body),
    )


def _text(content: bytes | None) -> str | None:
    """What was received may be no text at all."""
    return None if content is None else content.decode(errors="replace")
