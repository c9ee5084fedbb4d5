"""What `verify` says: for people in lines, for machines as one object. Never a value of an event.

Reads nothing and asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from conversion_relay.core.destination import Verdict
from conversion_relay.core.plan import Note
from conversion_relay.service.quantities import counted
from conversion_relay.service.reload.outlook import FIRST_LINES, Found, Outlook
from conversion_relay.service.reload.trial import Trial
from conversion_relay.service.reload.verification import Verified

_MOST_NOTES: Final = 30
_UNSOUND: Final = {
    Verdict.REFUSED: "destination {}: the access token or a setting is refused",
    Verdict.SILENT: "destination {}: nothing was learnt; try again, or see how it is reached",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """The events of a file, tried.

    Attributes:
        name: of the file.
        lines: of it.
        unreadable: lines, or events of a line, that cannot be read.
        problems: the first of these: the line's number and how a sentence with it goes on.
        outlook: what becomes of the others.
        trial: compared with the baseline, if there is one.
        baseline: its name.
    """

    name: str
    lines: int
    unreadable: int
    problems: Sequence[tuple[int, str]]
    outlook: Outlook
    trial: Trial | None = None
    baseline: str | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was found out.

    Attributes:
        configuration: its name.
        warnings: what of it is probably not meant.
        tried: None where no events were given.
        verified: None where nobody was to be asked.
        allowed: so many rejections are no failure.
    """

    configuration: str
    warnings: Sequence[str]
    tried: Tried | None
    verified: Verified | None
    allowed: int

    def failures(self) -> list[str]:
        """Why it does not pass, in sentences."""
        found: list[str] = []
        if self.tried is not None:
            found += _failures_of(self.tried, self.allowed)
        if self.verified is not None:
            found += [
                _UNSOUND[one.verdict].format(one.destination)
                for one in self.verified.answers
                if one.verdict in _UNSOUND
            ]
        return found


def _failures_of(tried: Tried, allowed: int) -> Iterator[str]:
    if tried.unreadable:
        yield f"{tried.name}: {tried.unreadable:,} cannot be read"
    rejected = tried.outlook.rejected
    if rejected > allowed:
        yield f"{tried.name}: {rejected:,} rejected, and --allow-rejections is {allowed:,}"
    if tried.trial is not None and tried.trial.objections:
        yield f"{len(tried.trial.objections):,} objected to, compared with {tried.baseline}"


def report(findings: Findings) -> Iterator[str]:
    """The lines for people, without the warnings and the failures."""
    yield f"The configuration ({findings.configuration}) can be used."
    if findings.tried is None:
        yield "events: none were tried; --against FILE tries those of a file"
    else:
        yield from _events(findings.tried)
        if findings.tried.trial is not None:
            yield from _comparison(findings.tried.trial, str(findings.tried.baseline))
    if findings.verified is None:
        yield "destinations: nothing was sent to them (--offline)"
    else:
        yield "destinations, asked:"
        for sentence in findings.verified.sentences:
            yield f"  {sentence}"


def _events(tried: Tried) -> Iterator[str]:
    outlook = tried.outlook
    yield f"{tried.name}: {counted(outlook.events, 'event')} on {counted(tried.lines, 'line')}"
    for number, problem in tried.problems:
        yield f"  line {number} {problem}"
    if tried.unreadable > len(tried.problems):
        yield f"  and {tried.unreadable - len(tried.problems):,} more cannot be read"
    for flow, count in sorted(outlook.flows.items()):
        way = f"destination {flow.destination}, mapping {flow.mapping}"
        yield f"{count:>9,}  sent as {flow.event_name}: {way}"
    if outlook.unmatched:
        yield f"{outlook.unmatched:>9,}  not sent: no trigger matches"
    yield from _notes("rejected", outlook.rejections)
    yield from _notes("held back", outlook.suppressions)
    yield from _notes("with a warning", outlook.warnings)


def _notes(fate: str, notes: Mapping[Note, Found]) -> Iterator[str]:
    ranked = sorted(notes.items(), key=lambda one: -one[1].events)
    for note, found in ranked[:_MOST_NOTES]:
        yield f"{found.events:>9,}  {fate}: {_why(note)} ({_at(found)})"
    if len(ranked) > _MOST_NOTES:
        yield f"           and {len(ranked) - _MOST_NOTES:,} more reasons ({fate})"


def _why(note: Note) -> str:
    why = f"{note.field} {note.reason}" if note.field else note.reason
    if not note.destination:
        return why
    return f"destination {note.destination}, mapping {note.mapping}: {why}"


def _at(found: Found) -> str:
    numbers = ", ".join(map(str, found.lines))
    more = ", …" if found.events > FIRST_LINES else ""
    return f"{'line' if found.events == 1 else 'lines'} {numbers}{more}"


def _comparison(trial: Trial, baseline: str) -> Iterator[str]:
    yield f'compared with {baseline} ("now"): {trial.summary}'
    for sentence in trial.objections:
        yield f"  objection: {sentence}"
    for sentence in trial.changes:
        yield f"  change: {sentence}"
    if not (trial.objections or trial.changes):
        yield "  nothing would change"


def as_object(findings: Findings) -> dict[str, object]:
    """The same for machines."""
    failures, tried, verified = findings.failures(), findings.tried, findings.verified
    return {
        "configuration": findings.configuration,
        "passed": not failures,
        "failures": failures,
        "warnings": list(findings.warnings),
        "events": None if tried is None else _tried(tried),
        "comparison": None if tried is None or tried.trial is None else _trial(tried),
        "destinations": None
        if verified is None
        else [asdict(one) | {"verdict": one.verdict.value} for one in verified.answers],
    }


def _tried(tried: Tried) -> dict[str, object]:
    outlook = tried.outlook
    return {
        "file": tried.name,
        "lines": tried.lines,
        "unreadable": tried.unreadable,
        "unreadable_lines": [
            {"line": number, "reason": problem} for number, problem in tried.problems
        ],
        "events": outlook.events,
        "unmatched": outlook.unmatched,
        "deliveries": [asdict(flow) | {"count": n} for flow, n in sorted(outlook.flows.items())],
        "rejections": _counted(outlook.rejections),
        "suppressions": _counted(outlook.suppressions),
        "warnings": _counted(outlook.warnings),
    }


def _counted(notes: Mapping[Note, Found]) -> list[dict[str, object]]:
    return [asdict(note) | asdict(found) for note, found in notes.items()]


def _trial(tried: Tried) -> dict[str, object]:
    trial = tried.trial
    if trial is None:
        return {}
    return {
        "baseline": tried.baseline,
        "events": trial.events,
        "deliveries_now": trial.deliveries_now,
        "deliveries_then": trial.deliveries_then,
        "objections": list(trial.objections),
        "changes": list(trial.changes),
    }
