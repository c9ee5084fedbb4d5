"""What the commands of operators say: counts, lists, one event in full, how far they are.

Of an event its ids, names, states and reasons, and more only where that was asked for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from typing import Final, TypeAlias

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from conversion_relay.cli.speaking import complain
from conversion_relay.service.cases import Fate
from conversion_relay.service.http.admin.forms import (
    LARGEST_ID,
    DeliveryShown,
    EventShown,
    ReplayAnswer,
)

_WIDTH: Final = 240
_MOST_NAMES: Final = 50
_MOST_REASONS: Final = 20
_LONGEST_NAME: Final = 60
_PAGES_BETWEEN_WORDS: Final = 50
_FATES: Final[Mapping[Fate, str]] = {
    Fate.SENT: "sent",
    Fate.DELIVERED: "already delivered",
    Fate.UNDER_WAY: "on its way",
    Fate.NOT_SELECTED: "in another state",
    Fate.UNRECOGNISABLE: "may have arrived",
    Fate.REJECTED: "rejected",
    Fate.SUPPRESSED: "suppressed",
    Fate.UNMATCHED: "no longer matched",
    Fate.NO_EVENT: "no event",
    Fate.GONE: "original gone",
    Fate.CHANGED: "changed meanwhile",
}
Cell: TypeAlias = str | int | None


@dataclass(slots=True)
class Replayed:
    """What came of the pages of a replay so far."""

    counts: Counter[tuple[str, Fate]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, answer: ReplayAnswer) -> None:
        """One more page."""
        for one in answer.counts:
            self.counts[one.event, one.fate] += one.count
        for reason in answer.reasons:
            self.reasons[_reason(reason.mapping, reason.field, reason.reason)] += reason.count

    def told(self, *, dry_run: bool) -> str:
        """A table by event name, the reasons, and what to do next."""
        if not self.counts:
            return "Nothing is kept that was asked for."
        sent = sum(count for (_, fate), count in self.counts.items() if fate is Fate.SENT)
        lines = [_counted(self.counts, dry_run=dry_run)]
        lines += [f"{count:>9,}  {reason}" for reason, count in self._most_frequent_reasons()]
        if not dry_run:
            lines.append(f"{sent:,} to be sent again: they go out while the service runs.")
        elif sent:
            lines.append(f"A dry run: nothing was changed. --send sends these {sent:,}.")
        else:
            lines.append("A dry run: nothing was changed, and there is nothing to be sent.")
        return "\n".join(lines)

    def _most_frequent_reasons(self) -> list[tuple[str, int]]:
        return self.reasons.most_common(_MOST_REASONS)


def discarded(counts: Counter[str], *, dry_run: bool) -> str:
    """What was, or would be, discarded, by event name."""
    if not counts:
        return "Nothing is kept that was asked for."
    total = sum(counts.values())
    lines = [f"{count:>9,}  {plain(name)}" for name, count in counts.most_common(_MOST_NAMES)]
    if dry_run:
        lines.append(f"A dry run: nothing was changed. --discard gives up these {total:,}.")
    else:
        lines.append(f"{total:,} discarded. `replay --state suppressed` could still send them.")
    return "\n".join(lines)


def rows(events: Sequence[EventShown]) -> Iterator[dict[str, Cell]]:
    """One for each delivery that is meant, or for an event that has none."""
    for event in events:
        about: dict[str, Cell] = {
            "id": event.id,
            "receivedAt": event.received_at.isoformat(timespec="seconds"),
            "messageId": event.message_id,
        }
        meant = [one for one in event.deliveries if one.is_meant]
        for one in meant:
            yield {
                **about,
                "state": one.state.value,
                "destination": one.destination,
                "mapping": one.mapping,
                "event": one.event,
                "attempts": one.attempts,
                "reason": one.reason,
            }
        if not meant:
            yield {
                **about,
                "state": event.disposition.value,
                "destination": None,
                "mapping": None,
                "event": event.event,
                "attempts": 0,
                "reason": event.reason or "; ".join(_notes(event)) or None,
            }


def _notes(event: EventShown) -> list[str]:
    return [*event.rejections, *event.suppressions]


def table_of(events: Sequence[EventShown]) -> str:
    """The same for people."""
    found = list(rows(events))
    if not found:
        return "Nothing is kept that was asked for."
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in found[0]:
        table.add_column(name, justify="right" if name in {"id", "attempts"} else "left")
    for row in found:
        table.add_row(*("-" if cell is None else plain(str(cell)) for cell in row.values()))
    return rendered(table)


def portrait(event: EventShown) -> str:
    """Everything that is known of an event, and what was revealed."""
    lines = [f"event {event.id}: {plain(event.event or event.type or '(no event)')}"]
    lines += _facts(
        {
            "messageId": event.message_id,
            "source": event.source,
            "received": _moment(event.received_at),
            "became": event.disposition.value,
            "reason": event.reason,
        }
    )
    lines += [f"  rejected: {plain(one)}" for one in event.rejections]
    lines += [f"  suppressed: {plain(one)}" for one in event.suppressions]
    for delivery in event.deliveries:
        lines += _delivery(delivery)
    if event.original is not None:
        lines.append(f"  original: {escaped(event.original)}")
    return "\n".join(lines)


def metadata_line(event: EventShown) -> str:
    """One line of NDJSON without personal data."""
    return escaped(event.model_dump_json(by_alias=True, exclude={"original": True}))


def original_line(event: EventShown) -> str | None:
    """What was received, in one line: between the parts of JSON a line break means nothing."""
    if event.original is None:
        return None
    text = event.original.removeprefix("\ufeff")
    return escaped(text.replace("\r", " ").replace("\n", " ").replace("\t", " "))


@contextmanager
def progress() -> Iterator[Callable[[float], None]]:
    """Is told the share that is done; shows a bar, or says a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Said().passed
        return
    columns = (TextColumn("looking through what is kept"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share: bar.update(task, completed=share)


@dataclass(slots=True)
class _Said:
    """Says now and then how far it is; a few pages need no words."""

    pages: int = 0

    def passed(self, share: float) -> None:
        self.pages += 1
        if self.pages % _PAGES_BETWEEN_WORDS == 0:
            complain(f"looked through {share:.0%}")


def event_number(key: str) -> int | None:
    """The number of an event, where this can be one."""
    digits = key.lstrip("0")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST_ID))):
        return None
    number = int(digits)
    return number if number <= LARGEST_ID else None


def plain(text: str, longest: int = _LONGEST_NAME * 4) -> str:
    """A text as a terminal may show it."""
    shown = "".join(one if one.isprintable() else "?" for one in text)
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def escaped(text: str) -> str:
    """JSON that means the same and does nothing to a terminal, not even turn its direction."""
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def _counted(counts: Counter[tuple[str, Fate]], *, dry_run: bool) -> str:
    fates = [fate for fate in Fate if any(found is fate for _, found in counts)]
    names = Counter[str]()
    for (name, _), count in counts.items():
        names[name] += count
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    table.add_column("event")
    for fate in fates:
        heading = "would be sent" if dry_run and fate is Fate.SENT else _FATES[fate]
        table.add_column(heading, justify="right")
    for name, _ in names.most_common(_MOST_NAMES):
        cells = (f"{counts[name, fate]:,}" for fate in fates)
        table.add_row(plain(name, _LONGEST_NAME), *cells)
    table.add_section()
    totals = (
        sum(count for (_, found), count in counts.items() if found is fate) for fate in fates
    )
    table.add_row("all", *(f"{total:,}" for total in totals))
    return rendered(table)


def _reason(mapping: str, field_name: str, reason: str) -> str:
    return plain(": ".join(part for part in (mapping, field_name, reason) if part))


def _delivery(delivery: DeliveryShown) -> Iterator[str]:
    yield f"  delivery {delivery.id}: {delivery.state.value}"
    unknown = delivery.first_unknown_at
    facts = {
        "to": f"{delivery.destination}, by {delivery.mapping}, as {delivery.event}",
        "event_id": delivery.event_id,
        "attempts": str(delivery.attempts),
        "accepted": _moment(delivery.accepted_at),
        "last tried": _moment(delivery.settled_at) if delivery.settled_at else None,
        "may have arrived": _moment(unknown) if unknown else None,
        "reason": delivery.reason,
    }
    yield from (f"  {line}" for line in _facts(facts))
    if delivery.body is not None:
        yield f"    body: {escaped(delivery.body)}"


def _facts(facts: Mapping[str, str | None]) -> list[str]:
    return [f"  {name}: {plain(value)}" for name, value in facts.items() if value is not None]


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")


def rendered(table: Table) -> str:
    """A table in full width: what is cut cannot be searched for."""
    written = StringIO()
    Console(file=written, width=_WIDTH, markup=False, highlight=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines() if line.strip())
