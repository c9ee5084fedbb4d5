"""Reads the project's Markdown pages: sections, tables, fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CELLS = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(path: str) -> str:
    """The text of a file of the project."""
    return (ROOT / path).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next heading of its level or above."""
    marks = heading.partition(" ")[0]
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"no heading {heading!r}"
    return re.split(rf"\n#{{1,{len(marks)}}} ", rest, maxsplit=1)[0]


def tables(text: str) -> list[list[list[str]]]:
    """Every table: its rows of cells, without heading and ruler."""
    found: list[list[list[str]]] = []
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.strip().startswith("|"):
            cells = _CELLS.split(line.strip())[1:-1]
            rows.append([cell.strip().replace("\\|", "|") for cell in cells])
        elif rows:
            found.append(rows[2:])
            rows = []
    return found


def table(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading."""
    return tables(section(text, heading))[0]


def column(rows: Sequence[Sequence[str]], number: int = 0) -> list[str]:
    """The cells of a column, without the backquotes around them."""
    return [plain(row[number]) for row in rows]


def plain(cell: str) -> str:
    """The cell without backquotes around it."""
    return cell.removeprefix("`").removesuffix("`")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of that language, in order."""
    return [content for name, content in _FENCE.findall(text) if name == language]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)
