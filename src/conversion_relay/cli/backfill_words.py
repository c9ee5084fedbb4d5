"""What the command that sends events of files says: counts, progress, totals.

Never anything of an event but its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from conversion_relay.cli.speaking import complain, say
from conversion_relay.service.backfill.inputs import Input
from conversion_relay.service.backfill.survey import Horizon, Survey, in_words
from conversion_relay.service.http.admin.backfill import BackfillAnswer

_LINES_BETWEEN_WORDS: Final = 10_000
_MOST_NAMES: Final = 30
_LONGEST_NAME: Final = 60
_WORDS: Final[Mapping[str, str]] = {
    "accepted": "new",
    "planned": "of these go to TikTok, as soon as the service runs",
    "unmatched": "of these match no trigger",
    "rejected": "of these match a trigger, but make no conversion",
    "quarantined": "of these are no event, or too large",
    "suppressed": "of these match a trigger, but forbid it themselves (integrations or consent)",
    "duplicates": "known already, not sent again",
}
"""The counts of the answers, in the order in which they are shown."""


def shown(one: Input, counted: Survey, horizon: Horizon) -> Survey:
    """Says what a file holds, without anything an event holds but its name."""
    for number, problem in counted.problems:
        complain(f"{one.name}: line {number} {problem}")
    if counted.unreadable > len(counted.problems):
        complain(f"{one.name}: and {counted.unreadable - len(counted.problems):,} more")
    if counted.unreadable and not (counted.names or counted.too_old):
        complain(f"{one.name}: nothing can be read. Is it NDJSON, with an event a line, or gzip?")
    if counted.damage is not None:
        complain(f"{one.name}: ends before line {counted.damage.number}: {counted.damage.reason}")
    say(f"{one.name}: {counted.lines:,} lines")
    for text in _counts(counted, horizon):
        say(f"  {text}")
    return counted


def _counts(counted: Survey, horizon: Horizon) -> Iterator[str]:
    names = Counter(counted.names).most_common()
    for name, number in names[:_MOST_NAMES]:
        yield f"{number:>9,}  {_plain(name)}"
    if len(names) > _MOST_NAMES:
        rest = names[_MOST_NAMES:]
        yield f"{sum(number for _, number in rest):>9,}  of {len(rest):,} other names"
    if counted.untimed:
        yield f"{counted.untimed:>9,}  of these carry no time and count as of when they are sent"
    if counted.oldest is not None:
        yield (
            f"{counted.too_old:>9,}  too old, left out: older than {in_words(horizon.max_age)}, "
            f"the oldest {in_words(horizon.now - counted.oldest)}; --max-age raises this"
        )
    if counted.unreadable:
        yield f"{counted.unreadable:>9,}  cannot be read"


def _plain(name: str) -> str:
    """A name as a terminal may show it."""
    shown = "".join(one if one.isprintable() else "?" for one in name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}…"


def say_total(source: str, total: Mapping[str, int]) -> None:
    """Says what became of everything that was sent in this run."""
    sent = total["accepted"] + total["duplicates"]
    say(f"sent to source {source}: {sent:,} events")
    for name, words in _WORDS.items():
        if total[name]:
            say(f"  {total[name]:>9,}  {words}")


@dataclass(slots=True)
class Meter:
    """Shows how far a run is: in a bar, else in a line now and then.

    Attributes:
        total: what became of the events so far.
    """

    total: Counter[str] = field(default_factory=Counter)
    _name: str = ""
    _lines: int = 0
    _said: int = 0
    _bar: Progress | None = None

    @contextmanager
    def showing(self, name: str, lines: int) -> Iterator[None]:
        """Is about this file until it is left; with a bar where a terminal reads along."""
        self._name, self._lines, self._said = name, lines, 0
        console = Console(stderr=True)
        if not console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        counts = (MofNCompleteColumn(), TextColumn("lines"), TimeRemainingColumn())
        with Progress(*columns, *counts, console=console) as self._bar:
            self._bar.add_task(name, total=lines)
            yield
        self._bar = None

    def passed(self, lines_done: int) -> None:
        """So many lines are done."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=lines_done)
        elif lines_done >= self._said + _LINES_BETWEEN_WORDS:
            self._said = lines_done
            complain(f"{self._name}: {lines_done:,} of {self._lines:,} lines done")

    def taken(self, answer: BackfillAnswer) -> None:
        """Counts what became of a batch."""
        self.total.update(answer.model_dump())

    def remark(self, text: str) -> None:
        """A line between the others."""
        complain(f"conversion-relay: {text}")

    def waiting(self, reason: str, seconds: float) -> None:
        """Says why nothing moves."""
        self.remark(f"the service takes no events now: {reason} Trying again in {seconds:g} s")
