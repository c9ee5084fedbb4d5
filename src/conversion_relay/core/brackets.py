"""Where an element of JSON ends and how deep it is, told by its brackets and quotes alone.

Works on blocks, with operations that cost the same whatever stands there: what nobody vouches for
comes by here. Reads no value, and does not know whether the text is JSON.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Generator, Iterator
from itertools import accumulate, compress, count
from operator import eq, sub
from typing import Final, TypeAlias

Search: TypeAlias = Generator[None, None, int | None]
"""Gives where something ends, None when it does not; can be left alone after every step."""

_SPACE: Final = re.compile(r"[ \t\r\n]*+")
_BLOCK_CHARACTERS: Final = 4096
_STRING_CHARACTERS: Final = 65_536
_INSIDE: Final = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_WORD: Final = re.compile(r'[^"{}\[\],: \t\r\n]*+')
_OPENING: Final = 2
_KINDS: Final = bytes.maketrans(b"[{]}", bytes((_OPENING, _OPENING, 0, 0)))
_OTHERS: Final = bytes(set(range(256)) - set(b"[{]}"))
_PAIR: Final = bytes((_OPENING, 0))


def skip_space(text: str, position: int) -> int:
    """Where the white space ends that stands there, if any."""
    found = _SPACE.match(text, position)
    return found.end() if found else position


def end_of_element(text: str, start: int) -> int | None:
    """Where the element's brackets are closed again, or its one word or string ends."""
    search = search_end(text, start)
    try:
        while True:
            next(search)
    except StopIteration as ended:
        end: int | None = ended.value
        return end


def search_end(text: str, start: int) -> Search:
    """The same in steps, each of a fraction of a millisecond."""
    first = text[start : start + 1]
    if first == '"':
        return _after_string(text, start + 1)
    return _after_brackets(text, start + 1) if first in {"[", "{"} else _after_word(text, start)


def is_deeper(text: str, levels: int) -> bool:
    """Whether brackets stand within each other on more levels in a text that is JSON."""
    if text.count("[") + text.count("{") <= levels:
        return False
    brackets, _ = _outside_strings(text)
    depths: Iterator[int] = map(sub, accumulate(brackets), count(1))
    return max(depths, default=0) > levels


def _after_word(text: str, start: int) -> Search:
    position, full = start, True
    while full:
        end = _end_of(_WORD, text, position, _STRING_CHARACTERS)
        full = end - position == _STRING_CHARACTERS
        position = end
        yield
    return position if position > start else None


def _after_string(text: str, position: int) -> Search:
    """Where the string ends that began before."""
    while True:
        end = _end_of(_INSIDE, text, position, _STRING_CHARACTERS)
        if text[end : end + 1] == '"':
            return end + 1
        if end == position or end == len(text):
            return None
        position = end
        yield


def _after_brackets(text: str, position: int) -> Search:
    """Where the bracket is closed that was opened before."""
    depth = 1
    while position < len(text):
        block = _block(text, position)
        brackets, cuts_string = _outside_strings(block)
        if _ends(brackets, depth):
            return position + _behind_bracket(block, _until_closed(brackets, depth))
        depth += _OPENING * brackets.count(_OPENING) - len(brackets)
        position += len(block)
        if cuts_string:
            end = yield from _after_string(text, position)
            if end is None:
                return None
            position = end
        yield
    return None


def _end_of(pattern: re.Pattern[str], text: str, position: int, most: int) -> int:
    found = pattern.match(text, position, position + most)
    return position if found is None else found.end()


def _block(text: str, position: int) -> str:
    """The next characters; an escape is not cut in two."""
    block = text[position : position + _BLOCK_CHARACTERS]
    if (len(block) - len(block.rstrip("\\"))) % 2:
        return text[position : position + _BLOCK_CHARACTERS + 1]
    return block


def _outside_strings(block: str) -> tuple[bytes, bool]:
    """The kinds of the brackets outside strings, and whether the block ends inside one."""
    if "\\" in block:
        block = block.replace("\\\\", "").replace('\\"', "")
    parts = block.split('"')
    outside = "".join(parts[::2]).encode(errors="surrogatepass")
    return outside.translate(_KINDS, _OTHERS), len(parts) % 2 == 0


def _ends(brackets: bytes, depth: int) -> bool:
    """Whether so many open brackets are closed by these.

    Pairs cannot close them, and are left out as long as that makes much less of it.
    """
    while depth <= brackets.count(0):
        fewer = brackets.replace(_PAIR, b"")
        if 4 * len(fewer) > 3 * len(brackets):
            return _until_closed(fewer, depth) > 0
        brackets = fewer
    return False


def _until_closed(brackets: bytes, depth: int) -> int:
    """How many of these it takes to close so many; 0 when they do not."""
    balances = accumulate(brackets, initial=depth)  # each closing one is counted by its place
    return next(compress(count(), map(eq, balances, count())), 0)


def _behind_bracket(block: str, number: int) -> int:
    """The place behind the bracket of this number: so many stand before it."""
    places = range(len(block) + 1)
    return bisect_left(places, number, key=lambda end: len(_outside_strings(block[:end])[0]))
