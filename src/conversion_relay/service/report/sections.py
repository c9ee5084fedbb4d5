"""The tables of a report, in order. Knows no form of output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from conversion_relay.service.report import wording as words
from conversion_relay.service.report.outages import Outage
from conversion_relay.service.report.report import Amount, Fate, Figures, Report
from conversion_relay.service.store.history import OutcomeCount

_BROKEN_DOWN: Final[Sequence[tuple[str, Callable[[OutcomeCount], str]]]] = (
    ("destination", lambda one: one.destination),
    ("source", lambda one: one.source),
    ("mapping", lambda one: one.mapping),
)


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table; numbers stand to the right."""

    heading: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a section.

    Attributes:
        rows: a text for each column.
        total: a last row that sums the others up; empty without one.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    total: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        text: stands before the table, a sentence or two; "" without any.
    """

    title: str
    text: str = ""
    table: Table | None = None


def sections(report: Report) -> Sequence[Section]:
    """Everything after the summary and the chart, in order."""
    return (
        _by_event(report),
        _lateness(report),
        _outages(report),
        _answers(report),
        _alerts(report),
        *_breakdowns(report),
        _door(report),
    )


def _by_event(report: Report) -> Section:
    table = _fate_table(report, "event", lambda one: one.event_name)
    text = "Values stand below the counts, by currency." if table else "Nothing was received."
    return Section("By TikTok event", text, table)


def _breakdowns(report: Report) -> Iterator[Section]:
    for name, key in _BROKEN_DOWN:
        table = _fate_table(report, name, key)
        if table is not None:
            yield Section(f"By {name}", "", table)


def _fate_table(report: Report, name: str, key: Callable[[OutcomeCount], str]) -> Table | None:
    groups = report.by(key)
    if not groups:
        return None
    fates = [Column(words.FATES[fate], is_number=True) for fate in Fate]
    columns = (Column(name), Column("received", is_number=True), *fates)
    rows = [_fate_row(value, figures) for value, figures in groups]
    total = _fate_row("all", report.figures) if len(rows) > 1 else ()
    return Table(columns, rows, total)


def _fate_row(name: str, figures: Figures) -> Sequence[str]:
    amounts = (figures.received, *(figures.of(fate) for fate in Fate))
    return (name, *(_cell(amount) for amount in amounts))


def _cell(amount: Amount) -> str:
    """The count, and below it the value."""
    if not amount.count:
        return words.NOTHING
    return "\n".join((words.counted(amount.count), *words.values(amount)))


def _lateness(report: Report) -> Section:
    classes = report.lateness()
    title = "How late"
    if not classes:
        return Section(title, "Nothing was delivered late.")
    late, least, rows = report.figures.of(Fate.LATE), report.asked.on_time, []
    ends = dict(zip(report.asked.bounds[1:], report.asked.bounds, strict=False))
    for bound, amount in classes:
        begin = ends.get(bound, report.asked.bounds[-1]) if bound else report.asked.bounds[-1]
        until = "more" if bound is None else words.lasting(bound)
        part = words.share(amount.count, late.count)
        rows.append((f"{words.lasting(begin)} to {until}", *_counted(amount), part))
    columns = (
        Column("after its receipt"),
        Column("conversions", is_number=True),
        Column("value", is_number=True),
        Column("of the late", is_number=True),
    )
    longest = words.lasting(timedelta(seconds=report.figures.longest_seconds))
    text = f"Late means more than {words.lasting(least)} after receipt. The longest: {longest}."
    total = ("all", *_counted(late), words.share(late.count, late.count))
    return Section(title, text, Table(columns, rows, total))


def _counted(amount: Amount) -> tuple[str, str]:
    return words.counted(amount.count), "\n".join(words.values(amount)) or words.NOTHING


def _outages(report: Report) -> Section:
    if not report.outages:
        return Section("Outages", "No outage was found in the answers.")
    headings = ("destination", "from", "to", "lasted", "failed requests", "answers")
    columns = [Column(one, is_number=one == "failed requests") for one in headings]
    rows = [_outage(one, report) for one in report.outages]
    text = "From the first failing answer to the first accepted one."
    return Section("Outages", text, Table(columns, rows))


def _outage(outage: Outage, report: Report) -> Sequence[str]:
    zone, end = report.asked.zone, outage.end
    answers = dict.fromkeys(_answer(status, code) for _, status, code in outage.kinds)
    return (
        outage.destination,
        words.moment(outage.begin, zone),
        "not over" if end is None else words.moment(end, zone),
        words.lasting(outage.lasted(report.asked.until)),
        words.counted(outage.requests),
        ", ".join(answers),
    )


def _answer(status: int | None, code: int | None) -> str:
    return words.status(status) if code is None else f"code {code}"


def _answers(report: Report) -> Section:
    title = "Answers"
    if not report.answers:
        return Section(title, "No request was sent in this period.")
    names = ("destination", "HTTP", "code", "meaning", "requests", "events", "first", "last")
    columns = [Column(one, is_number=one in {"requests", "events"}) for one in names]
    rows = [
        (
            one.destination,
            words.status(one.status),
            words.NOTHING if one.code is None else str(one.code),
            "; ".join(filter(None, (one.meaning, words.result(one.result)))),
            words.counted(one.requests),
            words.counted(one.events),
            words.minute(one.first, report.asked.zone),
            words.minute(one.last, report.asked.zone),
        )
        for one in report.answers
    ]
    text = (
        "Every request that was sent in this period, by what came back. Events count as often as "
        "they were sent, test events of the service itself included."
    )
    return Section(title, text, Table(columns, rows))


def _alerts(report: Report) -> Section:
    if not report.alerts:
        return Section("Alerts", "No alert was open in this period.")
    columns = [Column(one) for one in ("alert", "about", "opened", "resolved", "what was said")]
    zone = report.asked.zone
    rows = [
        (
            f"{one.rule.replace('_', ' ')} ({one.severity})",
            one.subject,
            words.moment(one.opened_at, zone),
            "open" if one.resolved_at is None else words.moment(one.resolved_at, zone),
            one.summary,
        )
        for one in report.alerts
    ]
    return Section("Alerts", "", Table(columns, rows))


def _door(report: Report) -> Section:
    title = "Received, and led to no delivery"
    if not report.door:
        return Section(title, "Nothing of this kind.")
    columns = (Column("what"), Column("of which kind"), Column("count", is_number=True))
    rows = [
        (
            words.DOOR.get(one.measure, one.measure),
            ", ".join(one.labels) or words.NOTHING,
            words.counted(one.count),
        )
        for one in report.door
    ]
    return Section(title, "Not part of the figures above.", Table(columns, rows))
