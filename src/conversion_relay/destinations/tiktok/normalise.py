"""Personal data in the form TikTok wants: normalised and, where it is hashed, SHA-256 in hex.

Each function takes one text and gives its form, or None where nothing usable is left. Knows no
payload. What is already 64 hex digits passes through, so normalising twice is normalising once.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events", user (read 2026-11-21).
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeAlias
from urllib.parse import unquote_plus

import phonenumbers

Normalise: TypeAlias = Callable[[str], str | None]

MAX_PHONE_DIGITS: Final = 15
"""Without the plus (ITU-T E.164)."""

_HASH: Final = re.compile(r"[0-9a-fA-F]+")
_HASH_CHARACTERS: Final = 64


def hashed(canonical: Normalise) -> Normalise:
    """The SHA-256 of the trimmed text's canonical form; what is a hash already is kept."""

    def normalise(text: str) -> str | None:
        trimmed = text.strip()
        if is_hash(trimmed):
            return trimmed.lower()
        form = canonical(trimmed)
        return sha256(form.encode("utf-8", "replace")).hexdigest() if form else None

    return normalise


def is_hash(text: str) -> bool:
    """Whether it is a SHA-256 in hex already."""
    return len(text) == _HASH_CHARACTERS and _HASH.fullmatch(text) is not None


def letters(text: str) -> str:
    """Lower-case letters and digits of every script; no punctuation, no white space."""
    lowered = text.lower()
    if lowered.isalnum():
        return lowered
    if lowered.isascii():
        return _ASCII_PUNCTUATION.sub("", lowered)
    return "".join(char for char in lowered if char.isalnum() or _is_mark(char))


_ASCII_PUNCTUATION: Final = re.compile(r"[^a-z0-9]+")


def _is_mark(char: str) -> bool:
    """Whether the character belongs to the letter before it, as an accent does."""
    return unicodedata.category(char).startswith("M")


def postal_code(text: str) -> str:
    """Lower case, without white space and dashes of any kind."""
    lowered = text.lower()
    if lowered.isalnum():
        return lowered
    return "".join(
        char for char in lowered if not char.isspace() and unicodedata.category(char) != "Pd"
    )


def country(text: str) -> str | None:
    """Two lower-case letters."""
    code = letters(text)
    return code if len(code) == 2 and code.isascii() and code.isalpha() else None  # noqa: PLR2004 - ISO 3166 alpha-2


def phone(region: str | None) -> Normalise:
    """Gives the E.164 form: a plus and at most 15 digits.

    Args:
        region: ISO 3166 code of the country of numbers without a country code. With None their
            digits are taken as they stand, as Segment does.
    """

    def canonical(text: str) -> str | None:
        if _INTERNATIONAL.match(text):
            return _e164(text)
        if region is None:
            return _e164(_PREFIX.sub("", text))
        return _of_region(text, region) or _e164(_PREFIX.sub("", text))

    return canonical


_INTERNATIONAL: Final = re.compile(r"[\s(]*[+\uff0b]")
_PREFIX: Final = re.compile(r"\A[\s(]*00")


def _e164(text: str) -> str | None:
    digits = _NO_DIGITS.sub("", text)
    if not digits.isascii():
        digits = "".join(str(unicodedata.decimal(digit)) for digit in digits)
    return f"+{digits}" if 0 < len(digits) <= MAX_PHONE_DIGITS else None


_NO_DIGITS: Final = re.compile(r"\D+")


@lru_cache(maxsize=1024)
def _of_region(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def ip_address(text: str) -> str | None:
    """An IPv4 or IPv6 address, trimmed; no port, no zone, no list."""
    trimmed = text.strip()
    if _IPV4.fullmatch(trimmed):
        return trimmed
    if "%" in trimmed:
        return None
    try:
        ipaddress.ip_address(trimmed)
    except ValueError:
        return None
    return trimmed


_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}")
_ABSOLUTE: Final = re.compile(r"[\x00-\x20]*[A-Za-z][A-Za-z0-9+.\-]*:")
_REMOVED_FROM_URLS: Final = re.compile(r"[\t\n\r]+|[\x00-\x20]+\Z")


def _as_parsed(url: str) -> str:
    """The URL without the control characters and spaces that a parser removes first."""
    return url if url.isprintable() and url[-1] != " " else _REMOVED_FROM_URLS.sub("", url)


def click_id(url: str) -> str | None:
    """The first `ttclid` of an absolute URL's query, decoded as browsers do; None if empty.

    It is never trimmed, lower-cased or cut.
    """
    if "?" not in url or not _ABSOLUTE.match(url):
        return None
    _, _, query = _as_parsed(url).partition("#")[0].partition("?")
    if "ttclid" not in query and "%" not in query:
        return None
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "ttclid" or ("%" in name and unquote_plus(name) == "ttclid"):
            return unquote_plus(value) or None
    return None
