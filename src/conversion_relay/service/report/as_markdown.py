"""A report as Markdown, with the tables that GitHub and most editors understand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from conversion_relay.service.report.report import Report
from conversion_relay.service.report.sections import Section, Table, sections
from conversion_relay.service.report.story import (
    TITLE,
    made,
    methods,
    period,
    summary,
    tiles,
    warnings,
)

_MEANS_SOMETHING: Final = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown_of(report: Report) -> str:
    """The whole text."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from (f"# {TITLE}", "", f"**{_text(period(report))}**", "", _text(made(report)), "")
    for one in warnings(report):
        yield from (f"> {_text(one)}", "")
    yield from _overview(report)
    for section in sections(report):
        yield from _section(section)
    yield from ("", "## How the figures came about", "")
    yield from (f"- {_text(one)}" for one in methods(report))


def _overview(report: Report) -> Iterator[str]:
    for one in summary(report):
        yield f"- {_text(one)}"
    yield from ("", "| conversions | count | share | value |", "|---|--:|--:|--:|")
    for tile in tiles(report):
        yield _row((tile.label, tile.count, tile.share, tile.worth))


def _section(section: Section) -> Iterator[str]:
    yield from ("", f"## {_text(section.title)}", "")
    if section.text:
        yield _text(section.text)
    if section.text and section.table is not None:
        yield ""
    if section.table is not None:
        yield from _table(section.table)


def _table(table: Table) -> Iterator[str]:
    yield _row([column.heading for column in table.columns])
    yield "|" + "".join("--:|" if column.is_number else "---|" for column in table.columns)
    yield from (_row(row) for row in table.rows)
    if table.total:
        yield _row(table.total)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_text(cell) for cell in cells)} |"


def _text(text: str) -> str:
    """The text, in which nothing is taken for markup, in one line."""
    return _MEANS_SOMETHING.sub(r"\\\1", text).replace("\n", "<br>")
