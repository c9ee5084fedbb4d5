"""What the commands of operators say: what was counted, and how far they are. Names and counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from typing import Final

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from conversion_relay.cli.speaking import complain
from conversion_relay.service.cases import Fate
from conversion_relay.service.http.admin.forms import LARGEST_ID, ReplayAnswer

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


def rendered(table: Table) -> str:
    """A table in full width: what is cut cannot be searched for."""
    written = StringIO()
    Console(file=written, width=_WIDTH, markup=False, highlight=False, emoji=False).print(table)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines() if line.strip())
