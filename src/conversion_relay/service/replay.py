"""Sends kept events again, or discards them, a page at a time.

They go from what was received, with today's mappings, or as they were sent before. Each page is
short and is judged before anything is written, so a dry run is the same without the writing.
Knows the store by its port and no HTTP; what may go is decided in `judging`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias

from conversion_relay.core.decoding import Decoded, Unusable, decode
from conversion_relay.core.delivery import Cause, State, states_before
from conversion_relay.core.match_keys import Memory
from conversion_relay.core.plan import Note
from conversion_relay.core.values import Json
from conversion_relay.service.cases import Case, Fate, Judgement, Wanted
from conversion_relay.service.judging import judge, judge_as_sent, judge_gone
from conversion_relay.service.likeness import conversion_of, planned_conversion
from conversion_relay.service.logs import Log
from conversion_relay.service.remembering import Recall
from conversion_relay.service.store.port import KeptEvent, NewEvent, Store

PAGE_EVENTS: Final = 200
DISCARDABLE: Final = states_before(Cause.DISCARDED)
DISCARDED_REASON: Final = "discarded by an operator"
NO_NAME: Final = "(no event)"
Replan: TypeAlias = Callable[[str, Decoded | Unusable, datetime, Memory | None], NewEvent]
_Named: TypeAlias = tuple[str, Judgement]


class Source(Enum):
    """Where a replay takes what it sends."""

    ORIGINAL = "original"  # what was received, with today's mappings
    AS_SENT = "as_sent"  # the body that was made of it then


@dataclass(frozen=True, slots=True)
class Page:
    """What came of some events.

    Attributes:
        counts: by the event's name and its fate, one for each delivery or event without any.
        reasons: why nothing could be made, and how often.
        after: where the next page begins; None when this was the last.
        share: how much was looked through by now, from 0 to 1.
    """

    counts: Mapping[tuple[str, Fate], int]
    reasons: Mapping[Note, int]
    after: int | None
    share: float


@dataclass(frozen=True, slots=True)
class Discarded:
    """What was, or would be, discarded; see `Page`."""

    counts: Mapping[str, int]
    after: int | None
    share: float


@dataclass(frozen=True, slots=True)
class Replay:
    """Replays and discards for an operator.

    Attributes:
        store: what is kept.
        replan: what today's mappings make of an element of this source received at that moment.
        clock: gives the present, aware.
        arrived: called after a commit that left something to deliver.
        log: one line for each page that changed something.
        recall: reads the match keys that are remembered now; None: nothing is filled in.
    """

    store: Store
    replan: Replan
    clock: Callable[[], datetime]
    arrived: Callable[[], None]
    log: Log
    recall: Recall | None = None

    async def preview(self, wanted: Wanted, source: Source, after: int) -> Page:
        """What `send` would do with the same page; nothing is written."""
        judged, after_this, share = await self._judged(wanted, source, after)
        return _page(judged, after_this, share)

    async def send(self, wanted: Wanted, source: Source, after: int) -> Page:
        """Makes what may go pending and due; done again, it sends nothing again."""
        judged, after_this, share = await self._judged(wanted, source, after)
        requeues = [one.requeue for _, one in judged if one.requeue is not None]
        if requeues:
            flags = iter(await self.store.requeue(requeues, self.clock()))
            judged = [(name, _carried_out(one, flags)) for name, one in judged]
            sent = sum(one.fate is Fate.SENT for _, one in judged)
            self.log.info("operator.replayed", source=source.value, deliveries=sent)
            self.arrived()
        return _page(judged, after_this, share)

    async def discardable(self, wanted: Wanted, after: int) -> Discarded:
        """What `discard` would suppress of the same page."""
        found, after_this, share = await self._discardable(wanted, after)
        return Discarded(Counter(found.values()), after_this, share)

    async def discard(self, wanted: Wanted, after: int) -> Discarded:
        """Suppresses what is meant of the page's deliveries; a replay can bring them back."""
        found, after_this, share = await self._discardable(wanted, after)
        if found:
            done = await self.store.discard(list(found), DISCARDED_REASON, self.clock())
            self.log.info("operator.discarded", deliveries=len(done))
            found = {one: name for one, name in found.items() if one in done}
        return Discarded(Counter(found.values()), after_this, share)

    async def _judged(
        self, wanted: Wanted, source: Source, after: int
    ) -> tuple[list[_Named], int | None, float]:
        page = await self.store.select(wanted.selection, after, PAGE_EVENTS)
        memories = await self._memories(page.events, source)
        judged: list[_Named] = []
        for event in page.events:
            for name, one in self._judge(event, wanted, source, memories.get(event.source)):
                judged.append((name, await self._unless_it_goes_anyhow(event, one)))
            await asyncio.sleep(0)  # others may use the loop in between
        return await self._known_once(page.events, judged), page.after, page.share

    async def _memories(
        self, events: Sequence[KeptEvent], source: Source
    ) -> dict[str, Memory | None]:
        """What is remembered now of the persons of these events, by the sources that opted in."""
        if self.recall is None or source is Source.AS_SENT:
            return {}
        names = {event.source for event in events} & self.recall.remembers_for.keys()
        return {
            name: await self.recall.of(
                name, [element_of(event.original) for event in events if event.source == name]
            )
            for name in names
        }

    async def _unless_it_goes_anyhow(self, event: KeptEvent, one: Judgement) -> Judgement:
        """What is pending, and would be sent in the very same way, is left as it is."""
        if one.requeue is None or one.requeue.planned is None or one.requeue.replaced is None:
            return one
        replaced, planned = one.requeue.replaced, one.requeue.planned
        kept = next(each for each in event.deliveries if each.record == replaced)
        same = conversion_of(kept) == planned_conversion(planned)
        if replaced.state is not State.PENDING or not same:
            return one
        body = await self.store.body(replaced.id)
        return Judgement(Fate.UNDER_WAY) if body == planned.body else one

    async def _known_once(
        self, events: Sequence[KeptEvent], judged: Sequence[_Named]
    ) -> list[_Named]:
        """Of several events with one messageId that came out of quarantine only the first goes."""
        sources = {event.id: event.source for event in events}
        asked = {_key(one, sources): None for _, one in judged}
        keys = [key for key in asked if key is not None]
        if not keys:
            return list(judged)
        owners = dict(zip(keys, await self.store.known(keys), strict=True))
        return [(name, _as_its_own(one, _key(one, sources), owners)) for name, one in judged]

    def _judge(
        self, event: KeptEvent, wanted: Wanted, source: Source, memory: Memory | None
    ) -> list[_Named]:
        element = element_of(event.original)
        name = None if element is None else segment_name(element)
        case = Case(event, name, wanted)
        if source is Source.AS_SENT:
            found = judge_as_sent(case)
        elif element is None:
            found = judge_gone(case)
        else:
            found = judge(case, self.replan(event.source, element, event.received_at, memory))
        shown = name or next((one.record.event_name for one in event.deliveries), NO_NAME)
        return [(shown, one) for one in found]

    async def _discardable(
        self, wanted: Wanted, after: int
    ) -> tuple[dict[int, str], int | None, float]:
        """The ids of the meant deliveries, with the names of their events."""
        states = wanted.selection.states & DISCARDABLE
        meant = replace(wanted, selection=replace(wanted.selection, states=states))
        page = await self.store.select(meant.selection, after, PAGE_EVENTS)
        found: dict[int, str] = {}
        for event in page.events:
            name = name_of(event)
            for one in Case(event, name, meant).meant:
                found[one.record.id] = name or one.record.event_name
            await asyncio.sleep(0)  # others may use the loop in between
        return found, page.after, page.share


def element_of(original: bytes | None) -> Decoded | Unusable | None:
    """What was received, read again; None when it is gone."""
    if original is None:
        return None
    try:
        text = original.decode()
    except UnicodeDecodeError:
        return Unusable("it is not UTF-8", original.decode(errors="surrogateescape"))
    found = decode(text)
    return found if isinstance(found, Decoded) else Unusable(found.reason, text)


def segment_name(element: Decoded | Unusable) -> str | None:
    """Segment's name of an event, its type where it has no name; None of what is no event."""
    value: Json = element.value if isinstance(element, Decoded) else None
    if not isinstance(value, dict):
        return None
    names = (value.get("event"), value.get("type"))
    return next((name for name in names if isinstance(name, str) and name), None)


def name_of(event: KeptEvent) -> str | None:
    """Segment's name of a kept event."""
    element = element_of(event.original)
    return None if element is None else segment_name(element)


def _carried_out(judgement: Judgement, flags: Iterator[bool]) -> Judgement:
    if judgement.requeue is None or next(flags):
        return judgement
    return Judgement(Fate.CHANGED)


def _key(judgement: Judgement, sources: Mapping[int, str]) -> tuple[str, str] | None:
    """The source and the messageId under which the event is to be known from now on."""
    requeue = judgement.requeue
    if requeue is None or requeue.message_id is None:
        return None
    return sources[requeue.event], requeue.message_id


def _as_its_own(
    judgement: Judgement,
    key: tuple[str, str] | None,
    owners: dict[tuple[str, str], int | None],
) -> Judgement:
    """The first event of those that nobody knows yet becomes the owner of its key."""
    if judgement.requeue is None or key is None:
        return judgement
    event = judgement.requeue.event
    if owners[key] is None:
        owners[key] = event
    return judgement if owners[key] == event else Judgement(Fate.CHANGED)


def _page(judged: Sequence[_Named], after: int | None, share: float) -> Page:
    counts = Counter((name, one.fate) for name, one in judged)
    reasons = Counter(note for _, one in judged for note in one.notes)
    return Page(counts, reasons, after, share)
