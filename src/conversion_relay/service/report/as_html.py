"""A report as one HTML page: printable, without scripts or anything from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from typing import Final

from conversion_relay.service.report.chart import chart
from conversion_relay.service.report.report import Report
from conversion_relay.service.report.sections import Column, Section, Table, sections
from conversion_relay.service.report.story import (
    TITLE,
    Tile,
    made,
    methods,
    period,
    summary,
    tiles,
    warnings,
)

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page: its own styles."""
_LINES_KEPT_TOGETHER: Final = 12
"""A table of so many lines is not parted by the end of a sheet."""
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?")


def html_of(report: Report) -> str:
    """The whole page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    style = resources.files("conversion_relay.service.report").joinpath("report.css")
    title = f"{TITLE}, {period(report)}"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>\n{style.read_text('utf-8')}</style>\n</head>"
    yield f"<body>\n<header>\n<h1>{TITLE}</h1>"
    yield f'<p class="period">{escape(period(report))}</p>'
    yield f'<p class="made">{escape(made(report))}</p>\n</header>\n<main>'
    for one in warnings(report):
        yield f'<p class="warning">{escape(one)}</p>'
    yield '<div class="summary">'
    yield from (f"<p>{escape(one)}</p>" for one in summary(report))
    yield '</div>\n<dl class="tiles">'
    yield from (_tile(one) for one in tiles(report))
    yield "</dl>"
    yield from _figure(report)
    for section in sections(report):
        yield from _section(section)
    yield '</main>\n<footer class="methods">\n<h2>How the figures came about</h2>\n<ul>'
    yield from (f"<li>{escape(one)}</li>" for one in methods(report))
    yield "</ul>\n</footer>\n</body>\n</html>"


def _tile(tile: Tile) -> str:
    return (
        f'<div class="tile"><dt>{escape(tile.label)}</dt>'
        f'<dd class="count">{tile.count} <span class="share">{tile.share}</span></dd>'
        f'<dd class="worth">{_broken(tile.worth)}</dd></div>'
    )


def _broken(text: str) -> str:
    return "<br>".join(escape(line) for line in text.split("\n"))


def _figure(report: Report) -> Iterator[str]:
    picture = chart(report)
    if picture:
        yield "<figure>\n<figcaption><h2>Received and delivered, added up</h2></figcaption>"
        yield f"{picture}\n</figure>"


def _section(section: Section) -> Iterator[str]:
    table = section.table
    small = table is None or _lines(table) <= _LINES_KEPT_TOGETHER
    kept_together = ' class="whole"' if small else ""
    yield f"<section{kept_together}>\n<h2>{escape(section.title)}</h2>"
    if section.text:
        yield f"<p>{escape(section.text)}</p>"
    if table is not None:
        yield from _table(table)
    yield "</section>"


def _lines(table: Table) -> int:
    rows = (*table.rows, table.total)
    return sum(max((cell.count("\n") + 1 for cell in row), default=0) for row in rows)


def _table(table: Table) -> Iterator[str]:
    yield '<div class="wide"><table>\n<thead><tr>'
    for column in table.columns:
        yield f'<th scope="col"{_class(column, "")}>{escape(column.heading)}</th>'
    yield "</tr></thead>\n<tbody>"
    yield from (_row(table.columns, row) for row in table.rows)
    yield "</tbody>"
    if table.total:
        yield f"<tfoot>{_row(table.columns, table.total)}</tfoot>"
    yield "</table></div>"


def _row(columns: Sequence[Column], cells: Sequence[str]) -> str:
    shown = (
        f"<td{_class(column, cell)}>{_cell(cell)}</td>"
        for column, cell in zip(columns, cells, strict=True)
    )
    return f"<tr>{''.join(shown)}</tr>"


def _class(column: Column, cell: str) -> str:
    if column.is_number:
        return ' class="number"'
    return ' class="time"' if _TIME.fullmatch(cell) else ""


def _cell(text: str) -> str:
    """The first line, and the others small below it."""
    first, *others = text.split("\n")
    return escape(first) + "".join(f"<small>{escape(one)}</small>" for one in others)
