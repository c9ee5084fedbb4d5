"""From text to JSON values, with the text of each element of a list kept beside it.

Stricter than Python's json (no NaN, no Infinity), kinder than orjson (big integers keep their
digits, a lone surrogate becomes U+FFFD, because a cut emoji is no reason to lose an event). Knows
nothing of events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias, cast

from conversion_relay.core.brackets import end_of_element, search_end, skip_space
from conversion_relay.core.values import Json

_BYTE_ORDER_MARK: Final = "\ufeff"
_LIST_BEGINS: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+\[[ \t\r\n]*+")
_SPACE_BEFORE_FIRST: Final = 1024
_MAX_MEMBERS: Final = 1024
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """Why a text is no JSON: what was found and where, never a part of the text."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """An element of a list that ends where it should, but has no value: it costs no other one."""

    reason: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A value and the text it was read from."""

    value: Json
    text: str = field(repr=False)


class Reread(Decoded):
    """A text whose value is read whenever it is asked for: values take several times the room.

    For texts that were decoded once.
    """

    __slots__ = ()

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "text", text)

    @property
    def value(self) -> Json:
        """Read anew."""
        found = decode(self.text)
        return found.value if isinstance(found, Decoded) else None


def decode(text: str) -> Decoded | Undecodable:
    """The one value in the text."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    found = _value_at(text, skip_space(text, 0))
    if isinstance(found, _Failure):
        return found.at(0)
    decoded, end = found
    rest = skip_space(text, end)
    return decoded if rest == len(text) else _unexpected(text, rest, "the end of the text")


def is_list(body: bytes) -> bool:
    """Whether the body begins as a JSON list does."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").startswith(b"[")


def first_element(body: bytes, max_bytes: int) -> bytes | None:
    """The first element of a list, exactly as it stands there, without reading its value.

    It is for bytes that nobody vouches for yet, so it costs little whatever they are: None when
    there is no such element, or when it does not end within `max_bytes`.
    """
    beginning = _LIST_BEGINS.match(body, 0, _SPACE_BEFORE_FIRST)
    if beginning is None:
        return None
    start = beginning.end()
    window = body[start : start + max_bytes + 1].decode("latin-1")  # a character for each byte
    end = end_of_element(window, 0)
    return body[start : start + end] if end is not None and end <= max_bytes else None


def elements(text: str, max_characters: int) -> Iterator[Decoded | Unusable | Undecodable]:
    """The elements of a list, in order, each read when it is asked for.

    One that is longer than `max_characters`, nested too deeply, or holds a number that JSON does
    not have, is Unusable. An Undecodable is the last: the syntax is broken there.
    """
    return (found for found in read_list(text, max_characters) if found is not None)


def read_list(text: str, max_characters: int) -> Iterator[Decoded | Unusable | Undecodable | None]:
    """The same in short steps: None where the search for an element's end may be interrupted."""
    pages = _Pages(text, max_characters)
    position = skip_space(text, text.index("[") + 1)
    mark = "" if text[position : position + 1] == "]" else ","
    while mark == ",":
        found = yield from pages.element_at(position)
        if isinstance(found, Undecodable):
            yield found
            return
        yield found.element
        position = skip_space(text, found.end)
        mark = text[position : position + 1]
        if mark == ",":
            position = skip_space(text, position + 1)
        elif mark != "]":
            yield _unexpected(text, position, '"," or "]"')
            return
    rest = skip_space(text, position + 1)
    if rest != len(text):
        yield _unexpected(text, rest, "the end of the text")


def members(text: str) -> Mapping[str, str] | Undecodable:
    """The members of an object, each value as it stands there and not yet read.

    Of several with one key the last counts, as everywhere. Syntax inside a value is not looked at.
    """
    text = text.removeprefix(_BYTE_ORDER_MARK)
    position = skip_space(text, 0)
    if not text.startswith("{", position):
        return _unexpected(text, position, "an object")
    position = skip_space(text, position + 1)
    found: dict[str, str] = {}
    mark = "" if text.startswith("}", position) else ","
    while mark == ",":
        member = _member_at(text, position)
        if isinstance(member, Undecodable):
            return member
        if len(found) == _MAX_MEMBERS:
            return Undecodable(f"it has more than {_MAX_MEMBERS} members")
        key, value, end = member
        found[key] = value
        position = skip_space(text, end)
        mark = text[position : position + 1]
        if mark == ",":
            position = skip_space(text, position + 1)
        elif mark != "}":
            return _unexpected(text, position, '"," or "}"')
    rest = skip_space(text, position + 1)
    return found if rest == len(text) else _unexpected(text, rest, "the end of the text")


def _member_at(text: str, position: int) -> tuple[str, str, int] | Undecodable:
    """A key, its value's text, and where that ends."""
    if not text.startswith('"', position):
        return _unexpected(text, position, "a key")
    key = _value_at(text, position)
    if isinstance(key, _Failure):
        return key.at(0)
    colon = skip_space(text, key[1])
    if not text.startswith(":", colon):
        return _unexpected(text, colon, '":"')
    start = skip_space(text, colon + 1)
    end = end_of_element(text, start)
    if end is None:
        return _unexpected(text, start, "a value that ends")
    return str(key[0].value), text[start:end], end


@dataclass(frozen=True, slots=True)
class _Found:
    """An element and where it ends."""

    element: Decoded | Unusable
    end: int


_Steps: TypeAlias = Generator[None, None, _Found | Undecodable]


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why there is no value, and where the syntax is broken; None where only the value is bad."""

    reason: str
    broken_at: int | None = None

    def at(self, origin: int) -> Undecodable:
        """The failure with its position counted from the beginning of the whole text."""
        if self.broken_at is None:
            return Undecodable(self.reason)
        return Undecodable(f"{self.reason} at character {origin + self.broken_at + 1}")


class _Pages:
    """A long text, of which Python's decoder sees a page at a time.

    It would build a value of any size before its size is known; so it meets the end of the page.
    """

    def __init__(self, text: str, max_characters: int) -> None:
        self._text = text
        self._max = max_characters
        self._turn_to(0)

    def element_at(self, start: int) -> _Steps:
        """The element that begins there, or why the syntax is broken."""
        found = self._look(start)
        if isinstance(found, _Failure) and self._origin != start:
            self._turn_to(start)
            found = self._look(start)
        return (yield from self._unread(start, found)) if isinstance(found, _Failure) else found

    def _turn_to(self, start: int) -> None:
        self._origin = start
        self._page = self._text[start : start + 2 * self._max + 2]

    def _look(self, start: int) -> _Found | _Failure:
        found = _value_at(self._page, start - self._origin)
        if isinstance(found, _Failure):
            return found
        decoded, length = found
        end = self._origin + length
        if self._is_cut(length, end) or len(decoded.text) > self._max:
            return _Failure("it is too long", length)
        return _Found(decoded, end)

    def _is_cut(self, length: int, end: int) -> bool:
        """Whether a number goes on behind the page: its digits, or a fraction or an exponent."""
        goes_on = length == len(self._page) or self._text[end : end + 1] in (".", "e", "E")
        return end < len(self._text) and goes_on

    def _unread(self, start: int, failure: _Failure) -> _Steps:
        """What the decoder made nothing of: one bad element, or the end of all reading."""
        end = yield from search_end(self._text, start)
        if end is None:
            return failure.at(start)
        if end - start > self._max:
            reason = f"it is longer than {self._max} characters"
        elif failure.broken_at is None:
            reason = failure.reason
        else:
            return failure.at(start)
        return _Found(Unusable(reason, self._text[start:end]), end)


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is no JSON number"
    raise ValueError(message)


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _value_at(text: str, start: int) -> tuple[Decoded, int] | _Failure:
    try:
        value, end = _DECODER.raw_decode(text, start)
        part = text[start:end]
        if "\\u" in part and _SURROGATE_ESCAPE.search(part):
            value, _ = _DECODER.raw_decode(_mended(part))
    except json.JSONDecodeError as error:
        return _Failure(error.msg, error.pos)
    except RecursionError:
        return _Failure("nested too deeply")
    except ValueError:
        return _Failure("a number that JSON does not have, or with too many digits")
    return Decoded(cast("Json", value), part), end


def _mended(text: str) -> str:
    """The text with U+FFFD for each escaped surrogate without its other half."""
    return _ESCAPE.sub(lambda found: r"\ufffd" if found["lone"] else found[0], text)


def _unexpected(text: str, position: int, expected: str) -> Undecodable:
    found = "more text" if position < len(text) else "the end of the text"
    return Undecodable(f"expected {expected} at character {position + 1}, found {found}")
