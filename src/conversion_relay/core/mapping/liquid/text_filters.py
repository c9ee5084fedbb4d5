"""Filters on text, as liquidjs has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from conversion_relay.core.mapping.liquid.arguments import Arguments, LiquidFilter, unusable
from conversion_relay.core.mapping.liquid.words import liquid_text, whole
from conversion_relay.core.mapping.place import tolerating_missing
from conversion_relay.core.mapping.text import WHITESPACE, is_truthy
from conversion_relay.core.values import Value

_BLANKS = re.compile(f"[{WHITESPACE}]+")
_NEWLINES = re.compile(r"\r?\n")
_UNESCAPED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'"}
_ESCAPED = str.maketrans({plain: escaped for escaped, plain in _UNESCAPED.items()})
_ENTITY = re.compile("|".join(_UNESCAPED))
_MARKUP = (("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->"), ("<", ">"))
_CJK = "\u4e00-\u9fff\uf900-\ufaff\u3400-\u4dbf\u3040-\u309f\u30a0-\u30ff\uac00-\ud7af"
_CJK_CHARACTER = re.compile(f"[{_CJK}]")
_OTHER_WORD = re.compile(f"[^{_CJK}{WHITESPACE}]+")


def _of_text(change: Callable[[str], str]) -> LiquidFilter:
    return lambda value, _arguments: change(liquid_text(value))


def _stripped(strip: Callable[[str, str], str]) -> LiquidFilter:
    def apply(value: Value, arguments: Arguments) -> Value:
        given = arguments.at(0)
        return strip(liquid_text(value), liquid_text(given) if is_truthy(given) else WHITESPACE)

    return apply


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:].lower()


def _append(value: Value, arguments: Arguments) -> Value:
    _require_one("append", arguments)
    return liquid_text(value) + arguments.text(0)


def _prepend(value: Value, arguments: Arguments) -> Value:
    _require_one("prepend", arguments)
    return arguments.text(0) + liquid_text(value)


def _require_one(name: str, arguments: Arguments) -> None:
    if len(arguments.given) + len(arguments.named) != 1:
        raise unusable(f"{name} takes one argument")


def _replace(value: Value, arguments: Arguments) -> Value:
    text, sought, substitute = liquid_text(value), arguments.text(0), arguments.text(1)
    if not sought:
        arguments.budget.spend(len(text) * len(substitute))
        return substitute.join(text)
    arguments.budget.spend(text.count(sought) * len(substitute))
    return text.replace(sought, substitute)


def _replace_first(value: Value, arguments: Arguments) -> Value:
    return liquid_text(value).replace(arguments.text(0), arguments.text(1), 1)


def _replace_last(value: Value, arguments: Arguments) -> Value:
    text, sought = liquid_text(value), arguments.text(0)
    found = text.rfind(sought)
    if found < 0:
        return text
    return text[:found] + arguments.text(1) + text[found + len(sought) :]


def _remove(value: Value, arguments: Arguments) -> Value:
    sought = arguments.text(0)
    return liquid_text(value).replace(sought, "") if sought else liquid_text(value)


def _remove_first(value: Value, arguments: Arguments) -> Value:
    return liquid_text(value).replace(arguments.text(0), "", 1)


def _remove_last(value: Value, arguments: Arguments) -> Value:
    return _replace_last(value, replace(arguments, given=arguments.given[:1]))


def _split(value: Value, arguments: Arguments) -> Value:
    text, separator = liquid_text(value), arguments.text(0)
    pieces = text.split(separator) if separator else list(text)
    while pieces and not pieces[-1]:
        pieces.pop()
    return tolerating_missing([*pieces])


def _truncate(value: Value, arguments: Arguments) -> Value:
    text, ending = liquid_text(value), arguments.text(1, "...")
    length = max(whole(arguments.number(0, 50)), 0)
    return value if len(text) <= length else text[: max(length - len(ending), 0)] + ending


def _truncate_words(value: Value, arguments: Arguments) -> Value:
    words = _BLANKS.split(liquid_text(value).lstrip(WHITESPACE))
    count = max(whole(arguments.number(0, 15)), 1)
    shortened = " ".join(words[:count])
    return shortened + arguments.text(1, "...") if len(words) >= count else shortened


def _number_of_words(value: Value, arguments: Arguments) -> Value:
    text = liquid_text(value).strip(WHITESPACE)
    if not text:
        return 0
    mode = arguments.at(0)
    if mode == "cjk" or (mode == "auto" and _CJK_CHARACTER.search(text)):
        return len(_CJK_CHARACTER.findall(text)) + len(_OTHER_WORD.findall(text))
    return len(_BLANKS.split(text))


def _escape(text: str) -> str:
    return text.translate(_ESCAPED)


def _escape_once(text: str) -> str:
    return _escape(_ENTITY.sub(lambda match: _UNESCAPED[match[0]], text))


def _strip_html(text: str) -> str:
    """The text without markup; an opening that is never closed is looked for only once."""
    kept: list[str] = []
    openings = dict(_MARKUP)
    start = 0
    while (found := text.find("<", start)) >= 0:
        end = _end_of_markup(text, found, openings)
        if end < 0:
            return "".join((*kept, text[start:]))
        kept.append(text[start:found])
        start = end
    return "".join((*kept, text[start:]))


def _end_of_markup(text: str, start: int, openings: dict[str, str]) -> int:
    for opening, closing in tuple(openings.items()):
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening))
            if end >= 0:
                return end + len(closing)
            del openings[opening]
    return -1


TEXT_FILTERS: Final[Mapping[str, LiquidFilter]] = {
    "upcase": _of_text(str.upper),
    "downcase": _of_text(str.lower),
    "capitalize": _of_text(_capitalize),
    "append": _append,
    "prepend": _prepend,
    "strip": _stripped(str.strip),
    "lstrip": _stripped(str.lstrip),
    "rstrip": _stripped(str.rstrip),
    "strip_newlines": _of_text(lambda text: _NEWLINES.sub("", text)),
    "strip_html": _of_text(_strip_html),
    "squish": _of_text(lambda text: _BLANKS.sub(" ", text).strip(WHITESPACE)),
    "normalize_whitespace": _of_text(lambda text: _BLANKS.sub(" ", text)),
    "replace": _replace,
    "replace_first": _replace_first,
    "replace_last": _replace_last,
    "remove": _remove,
    "remove_first": _remove_first,
    "remove_last": _remove_last,
    "split": _split,
    "truncate": _truncate,
    "truncatewords": _truncate_words,
    "number_of_words": _number_of_words,
    "escape": _of_text(_escape),
    "xml_escape": _of_text(_escape),
    "escape_once": _of_text(_escape_once),
}
