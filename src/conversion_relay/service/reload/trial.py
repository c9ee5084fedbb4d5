"""A new configuration tried against the events that were kept last, before it takes effect.

Both configurations plan the same events, and what they make of them is compared. Nothing is kept
and nothing is sent. What is lost to a partner is an objection; everything else is a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from conversion_relay.core.plan import Note
from conversion_relay.service.reload.comparison import (
    Comparison,
    Flow,
    Side,
    by_destination,
    by_name,
)
from conversion_relay.service.replay import element_of
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.store.port import EventPage, Selection

_PAGE_EVENTS: Final = 200
_EVERY_EVENT: Final = Selection()
_MOST_SENTENCES: Final = 30
_MOST_FIELDS: Final = 12


class KeptEvents(Protocol):
    """What is asked of a store."""

    async def before_newest(self, count: int) -> int:
        """The id after which the newest `count` events lie, canaries not counted."""
        ...

    async def select(self, selection: Selection, after: int, limit: int) -> EventPage:
        """Up to `limit` of the selected events with an id greater than `after`."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """What would be different. No sentence repeats anything an event holds.

    Attributes:
        events: tried; those without an original are not among them.
        unreadable: events whose original is gone or cannot be opened.
        deliveries_now: of these events with the running configuration.
        deliveries_then: with the new one.
        changes: sentences for people.
        objections: sentences as well: what is sent today and would be lost. With one of them the
            configuration is taken only by somebody who accepts it.
        comparison: the figures.
    """

    events: int
    unreadable: int
    deliveries_now: int
    deliveries_then: int
    changes: tuple[str, ...]
    objections: tuple[str, ...]
    comparison: Comparison = field(repr=False, compare=False)

    @property
    def summary(self) -> str:
        """How much was tried, and how much of it is sent now and then, in a sentence."""
        if not self.events:
            return "no event is kept, so that nothing was tried"
        gone = f"; {self.unreadable:,} more cannot be read any more" if self.unreadable else ""
        return (
            f"tried with {_count(self.events, 'event')}, from which {self.deliveries_now:,} "
            f"{_plural(self.deliveries_now, 'delivery')} result now and {self.deliveries_then:,} "
            f"with the change{gone}"
        )


async def try_kept(store: KeptEvents, newest: int, running: Side, candidate: Side) -> Trial:
    """What the candidate would make of the newest events, compared with what is made of them now.

    Others have the event loop between any two plans; a page of events at a time is in memory.

    Raises:
        StoreError: the events cannot be read.
    """
    found = Comparison()
    unreadable = 0
    after: int | None = await store.before_newest(newest) if newest else None
    while after is not None and found.events + unreadable < newest:
        page = await store.select(_EVERY_EVENT, after, _PAGE_EVENTS)
        real = [event for event in page.events if event.source != CANARY_SOURCE]
        for event in real[: newest - found.events - unreadable]:
            element = element_of(event.original)
            if element is None:
                unreadable += 1
                continue
            await asyncio.sleep(0)
            now = running.planned(event.source, element, event.received_at)
            await asyncio.sleep(0)
            found.add(now, candidate.planned(event.source, element, event.received_at), candidate)
        after = page.after
    return trial_of(found, candidate, unreadable)


def trial_of(found: Comparison, candidate: Side, unreadable: int = 0) -> Trial:
    """The comparison in sentences."""
    return Trial(
        found.events,
        unreadable,
        found.now.total(),
        found.then.total(),
        tuple(_changes(found)),
        tuple(_objections(found, candidate)),
        found,
    )


def _objections(found: Comparison, candidate: Side) -> Iterator[str]:
    then, lost = by_destination(found.then), set()
    for destination, count in sorted(by_destination(found.now).items()):
        if not then[destination]:
            lost.add(destination)
            why = "" if destination in candidate.destinations else ", which is not configured then"
            yield f"destination {destination}{why}: {_count(count, 'delivery')} now, then none"
    names = by_name(found.then)
    for (destination, name), count in sorted(by_name(found.now).items()):
        if not names[destination, name] and destination not in lost:
            instead = sorted(
                {new for to, old, new in found.renamed if (to, old) == (destination, name)}
            )
            going = f"; they would go as {', '.join(instead)}" if instead else ""
            sent = f"is sent {count:,} {_plural(count, 'time')} now, and then never"
            yield f"destination {destination}, event {name}: {sent}{going}"
    yield from _bounded(
        [
            f"{_place(note)}: {_count(count, 'event')} sent now would be "
            f"{_refused(note)}: {_why(note)}"
            for note, count in found.refused.most_common()
        ]
    )


def _changes(found: Comparison) -> Iterator[str]:
    flows = sorted(one for one in found.now | found.then if found.now[one] != found.then[one])
    yield from _bounded(
        [f"{_way(one)}: {found.now[one]:,} now, {found.then[one]:,} then" for one in flows]
    )
    for source, count in sorted(found.sourceless.items()):
        yield f"source {source}: is not configured then; {_count(count, 'event')} came from it"
    for (destination, mapping), count in sorted(found.unmatched.items()):
        yield (
            f"destination {destination}, mapping {mapping}: {_count(count, 'event')} sent now "
            "would match no trigger of the destination"
        )
    yield from _noted(found.suppressed.most_common(), "sent now would be held back")
    yield from _noted(found.newly_refused.most_common(), "not sent now would be rejected")
    for (destination, mapping), one in sorted(found.differences.items()):
        differ = "request differs" if one.deliveries == 1 else "requests differ"
        yield (
            f"destination {destination}, mapping {mapping}: {one.deliveries:,} {differ}, "
            f"in {_listed(sorted(one.fields))}"
        )
    yield from _noted(found.warnings.most_common(), "would have a new warning")


def _noted(notes: Sequence[tuple[Note, int]], fate: str) -> Iterator[str]:
    yield from _bounded(
        [f"{_place(note)}: {_count(count, 'event')} {fate}: {_why(note)}" for note, count in notes]
    )


def _bounded(sentences: Sequence[str]) -> Iterator[str]:
    yield from sentences[:_MOST_SENTENCES]
    if len(sentences) > _MOST_SENTENCES:
        yield f"and {len(sentences) - _MOST_SENTENCES:,} more of this kind"


def _way(flow: Flow) -> str:
    """Where events come from, if that matters, and where they go."""
    origin = f"source {flow.source}, " if flow.source else ""
    way = f"destination {flow.destination}, mapping {flow.mapping}, event {flow.event_name}"
    return origin + way


def _place(note: Note) -> str:
    if not note.destination:
        return "every destination"
    return f"destination {note.destination}, mapping {note.mapping}"


def _refused(note: Note) -> str:
    return "rejected" if note.destination else "put into quarantine"


def _why(note: Note) -> str:
    return f"{note.field} {note.reason}" if note.field else note.reason


def _listed(fields: Sequence[str]) -> str:
    more = len(fields) - _MOST_FIELDS
    rest = f" and {more:,} more" if more > 0 else ""
    return ", ".join(fields[:_MOST_FIELDS]) + rest


def _count(number: int, noun: str) -> str:
    return f"{number:,} {_plural(number, noun)}"


def _plural(number: int, noun: str) -> str:
    if number == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
