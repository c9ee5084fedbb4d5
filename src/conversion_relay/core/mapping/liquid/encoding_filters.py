"""Filters that encode: for addresses, as base64, as digests, as slugs; as liquidjs has them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from conversion_relay.core.mapping.liquid.arguments import Arguments, LiquidFilter, unusable
from conversion_relay.core.mapping.liquid.words import is_true, liquid_text
from conversion_relay.core.mapping.text import WHITESPACE, without_surrogates
from conversion_relay.core.values import Value

_COMPONENT = "-_.!~*'()"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BASE64_BLANK = re.compile(r"[\t\n\f\r ]")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*\Z")
_ACCENTS = str.maketrans(
    {
        **dict.fromkeys("àáâãäå", "a"),
        **dict.fromkeys("èéêë", "e"),
        **dict.fromkeys("ìíîï", "i"),
        **dict.fromkeys("òóôõöø", "o"),
        **dict.fromkeys("ùúûü", "u"),
        **dict.fromkeys("ýÿ", "y"),
        "æ": "ae",
        "ç": "c",
        "ð": "d",
        "ñ": "n",
        "ß": "ss",
        "œ": "oe",
        "þ": "th",
        "ẞ": "SS",
        "Œ": "OE",
        "Þ": "TH",
    }
)


def _of_text(change: Callable[[str], str]) -> LiquidFilter:
    def apply(value: Value, _arguments: Arguments) -> Value:
        try:
            return change(liquid_text(value))
        except ValueError as error:
            raise unusable("the text cannot be encoded or decoded") from error

    return apply


def _url_decode(text: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        raise ValueError
    return unquote_to_bytes(text.replace("+", " ")).decode()


def _form_encoded(text: str, safe: str) -> str:
    return quote(text, safe=safe).replace("%20", "+")


def _utf8(text: str) -> bytes:
    return without_surrogates(text).encode()


def _base64_decode(text: str) -> str:
    text = _BASE64_BLANK.sub("", text)
    if len(text) % 4 == 0:
        text = text.removesuffix("=").removesuffix("=")
    if len(text) % 4 == 1 or not _BASE64.match(text):
        raise ValueError
    return base64.b64decode(text + "=" * (-len(text) % 4)).decode(errors="replace")


def _hmac(value: Value, arguments: Arguments) -> Value:
    key = _utf8(arguments.text(0))
    return hmac.new(key, _utf8(liquid_text(value)), hashlib.sha256).hexdigest()


def _is_word(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "ML" or category == "Nd"


_SLUG_CHARACTERS: Final[Mapping[str, Callable[[str], bool]]] = {
    "raw": lambda character: character not in WHITESPACE,
    "default": _is_word,
    "latin": _is_word,
    "pretty": lambda character: _is_word(character) or character in "._~!$&'()+,;=@",
    "ascii": lambda character: character.isascii() and character.isalnum(),
}


def _slugify(value: Value, arguments: Arguments) -> Value:
    text, mode = liquid_text(value), arguments.text(0, "default")
    keeps = _SLUG_CHARACTERS.get(mode)
    if keeps is not None:
        text = text.translate(_ACCENTS) if mode == "latin" else text
        marked = "".join(character if keeps(character) else "\0" for character in text)
        text = re.sub("\0+", "-", marked).removeprefix("-").removesuffix("-")
    return text if is_true(arguments.at(1)) and arguments.at(1) else text.lower()


ENCODING_FILTERS: Final[Mapping[str, LiquidFilter]] = {
    "url_encode": _of_text(lambda text: _form_encoded(text, _COMPONENT)),
    "url_decode": _of_text(_url_decode),
    "cgi_escape": _of_text(lambda text: _form_encoded(text, "-_.~")),
    "uri_escape": _of_text(lambda text: quote(text, safe=_COMPONENT + ";,/?:@&=+$#[]")),
    "slugify": _slugify,
    "base64_encode": _of_text(lambda text: base64.b64encode(_utf8(text)).decode()),
    "base64_decode": _of_text(_base64_decode),
    "sha256": _of_text(lambda text: hashlib.sha256(_utf8(text)).hexdigest()),
    "hmac_sha256": _hmac,
}
