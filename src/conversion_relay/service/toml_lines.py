"""On which line of a TOML document each of its keys stands.

Python's own reader gives no positions. This one reads a document that the own reader has found
valid, and only for places: it knows the grammar, and of values no more than where they end.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Place: TypeAlias = "tuple[str | int, ...]"
"""The keys on the way to a setting; a number counts the items of a list, from 0."""

_BETWEEN: Final = re.compile(r"(?:[\s,]|#[^\n]*)*")
"""White space, comments, and the commas of lists and inline tables."""
_SPACES: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""[ \t]*(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')[ \t]*""")
_VALUE: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*"  # a date and its time of day
    r"|[^\s,\]}#]+",  # a number, a truth value
    re.DOTALL,
)


@dataclass(slots=True)
class Lines:
    """The line of a table, a list or a value, and of everything below it.

    Attributes:
        line: counted from 1; None for the document itself, which has no line of its own.
        below: by key, or by number in a list.
    """

    line: int | None = None
    below: dict[str | int, Lines] = field(default_factory=dict)

    def of(self, place: Place) -> int | None:
        """The line of the place, or of the innermost table around it that is written."""
        found = self
        for key in place:
            if key not in found.below:
                break
            found = found.below[key]
        return found.line


def lines_of(text: str) -> Lines:
    """The lines of a document that `tomllib` reads; of one that nests too deeply, the first."""
    reader = _Reader(text)
    with suppress(RecursionError):
        reader.read()
    return reader.document


class _Reader:
    def __init__(self, text: str) -> None:
        self.document = Lines()
        self._text = text
        self._at = 0
        self._counted_to = 0
        self._line = 1

    def read(self) -> None:
        table = self.document
        while self._skip():
            line = self._present_line()
            if self._takes("[["):
                table = self._array_table(list(self._keys()), line)
                self._takes("]]")
            elif self._takes("["):
                table = self._table(self.document, list(self._keys()), line)
                table.line = line  # its own header, not that of a table below it
                self._takes("]")
            else:
                self._pair(table)

    def _array_table(self, keys: list[str], line: int) -> Lines:
        tables = self._table(self.document, keys[:-1], line)
        tables = tables.below.setdefault(keys[-1], Lines(line))
        tables.below[len(tables.below)] = table = Lines(line)
        return table

    def _table(self, start: Lines, keys: list[str], line: int) -> Lines:
        """The table that the keys lead to; through a list of tables, it is in the last of them."""
        found = start
        for key in keys:
            found = found.below.setdefault(key, Lines(line))
            last = len(found.below) - 1
            if last in found.below:
                found = found.below[last]
        return found

    def _pair(self, table: Lines) -> None:
        line = self._present_line()
        self._value(self._table(table, list(self._keys()), line))

    def _value(self, place: Lines) -> None:
        if self._takes("["):
            self._list(place)
        elif self._takes("{"):
            while self._skip() and not self._takes("}"):
                self._pair(place)
        else:
            self._passed(_VALUE)

    def _list(self, place: Lines) -> None:
        while self._skip() and not self._takes("]"):
            place.below[len(place.below)] = item = Lines(self._present_line())
            self._value(item)

    def _keys(self) -> Iterator[str]:
        """The parts of a dotted key, and then what stands between it and the value."""
        yield _decoded(self._passed(_KEY))
        while self._takes("."):
            yield _decoded(self._passed(_KEY))
        self._takes("=")
        self._passed(_SPACES)

    def _skip(self) -> bool:
        """Goes to what comes next; whether anything does."""
        self._passed(_BETWEEN)
        return self._at < len(self._text)

    def _passed(self, kind: re.Pattern[str]) -> str:
        """What comes next, when it is of this kind; in a valid document it is."""
        found = kind.match(self._text, self._at)
        self._at = found.end() if found else len(self._text)
        return found[0] if found else ""

    def _takes(self, word: str) -> bool:
        if not self._text.startswith(word, self._at):
            return False
        self._at += len(word)
        return True

    def _present_line(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line


def _decoded(key: str) -> str:
    bare = key.strip(" \t")
    if not bare.startswith(('"', "'")):
        return bare
    text: str = tomllib.loads(f"key = {bare}")["key"]
    return text
