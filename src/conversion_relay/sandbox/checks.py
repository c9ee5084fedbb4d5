"""What one value must look like: each check answers None, or the problem it found and where.

Knows nothing of TikTok's fields: the tables in schema.py say which check belongs to which.
A value is judged by its exact JSON type, so that a boolean is never a number.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from conversion_relay.sandbox.answers import Code, Json, Place


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, at a place relative to the value that was checked."""

    sentence: str
    place: Place = ()
    code: int = Code.INVALID_VALUE

    def under(self, step: str | int) -> Problem:
        """The same problem as seen from one level up."""
        return replace(self, place=(step, *self.place))


Check: TypeAlias = Callable[[Json], Problem | None]

NOT_A_STRING: Final = Problem("not a valid string.")
NOT_A_NUMBER: Final = Problem("not a valid number.")
NOT_AN_INTEGER: Final = Problem("not a valid integer.")
NOT_A_BOOLEAN: Final = Problem("not a valid boolean.")
NOT_A_LIST: Final = Problem("not a valid list.")
NOT_AN_OBJECT: Final = Problem("not a valid object.")
EMPTY: Final = Problem("must not be empty.")
NOT_HASHED: Final = Problem(
    "personal data must be hashed with SHA-256.", code=Code.PERSONAL_DATA_NOT_HASHED
)

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_COUNTRY: Final = re.compile(r"[a-z]{2}")
_EVENT_NAME: Final = re.compile(r"[A-Za-z].{0,49}", re.DOTALL)
_HASHES_OF_NOTHING: Final = frozenset(hashlib.sha256(raw).hexdigest() for raw in (b"", b"+"))

# 2000-01-01 and 2100-01-01: a time in milliseconds lies far beyond.
_EARLIEST_SECOND: Final = 946_684_800
_LATEST_SECOND: Final = 4_102_444_800


def text(value: Json) -> Problem | None:
    """A string with something in it."""
    if type(value) is not str:
        return NOT_A_STRING
    return None if value.strip() else EMPTY


def number(value: Json) -> Problem | None:
    """A finite number; a boolean or a numeric string is none."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return None
    return NOT_A_NUMBER


def integer(value: Json) -> Problem | None:
    """A whole number written without a fraction."""
    return None if type(value) is int else NOT_AN_INTEGER


def boolean(value: Json) -> Problem | None:
    """True or false, and nothing that resembles them."""
    return None if type(value) is bool else NOT_A_BOOLEAN


def unix_seconds(value: Json) -> Problem | None:
    """A time in whole seconds.

    Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
    """
    if type(value) is not int:
        return NOT_AN_INTEGER
    if _EARLIEST_SECOND <= value < _LATEST_SECOND:
        return None
    return Problem("not a Unix time in seconds.")


def event_name(value: Json) -> Problem | None:
    """At most 50 characters, the first of them a letter.

    Source: business-api.tiktok.com, "Supported standard events" (read 2026-11-21).
    """
    if type(value) is not str:
        return NOT_A_STRING
    if _EVENT_NAME.fullmatch(value):
        return None
    return Problem("must begin with a letter and have at most 50 characters.")


def sha256_hex(value: Json) -> Problem | None:
    """A SHA-256 in 64 lower-case hex digits, of something.

    Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
    """
    if type(value) is not str:
        return NOT_A_STRING
    if not value:
        return EMPTY
    if value in _HASHES_OF_NOTHING:
        return Problem("the hash of an empty value.")
    return None if _HASH.fullmatch(value) else _unlike_a_hash(value)


def _unlike_a_hash(value: str) -> Problem:
    if _HASH.fullmatch(value.lower()):
        return Problem("a hash must be written in lower case.")
    return NOT_HASHED


def raw_text(value: Json) -> Problem | None:
    """A string about a person that goes unhashed, so it must not hold an e-mail address."""
    if type(value) is str and _EMAIL.search(value):
        return NOT_HASHED
    return text(value)


def place_name(value: Json) -> Problem | None:
    """A city or state: letters, marks and digits, lower-case, nothing between them.

    Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
    """
    problem = raw_text(value)
    if problem or type(value) is not str:
        return problem
    if value == value.lower() and all(unicodedata.category(char)[0] in "LMN" for char in value):
        return None
    return Problem("must be lower-case without spaces or punctuation.")


def country(value: Json) -> Problem | None:
    """Two lower-case letters.

    Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
    """
    problem = raw_text(value)
    if problem or type(value) is not str:
        return problem
    return None if _COUNTRY.fullmatch(value) else Problem("must be two lower-case letters.")


def ip_address(value: Json) -> Problem | None:
    """An IPv4 or IPv6 address."""
    problem = raw_text(value)
    if problem or type(value) is not str:
        return problem
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return Problem("not a valid IP address.")
    return None


def at_most(limit: int, check: Check) -> Check:
    """What the check says, and no more characters than the limit."""

    def bounded(value: Json) -> Problem | None:
        problem = check(value)
        if problem is None and isinstance(value, str) and len(value) > limit:
            return Problem(f"longer than {limit} characters.")
        return problem

    return bounded


def one_of(*choices: str) -> Check:
    """One of the strings, to the letter."""
    known = frozenset(choices)

    def chosen(value: Json) -> Problem | None:
        if type(value) is not str:
            return NOT_A_STRING
        return None if value in known else Problem("not a valid choice.")

    return chosen


def list_of(check: Check) -> Check:
    """A list of at least one, each as the check says."""
    each = possibly_empty_list_of(check)

    def listed(value: Json) -> Problem | None:
        return EMPTY if value == [] else each(value)

    return listed


def possibly_empty_list_of(check: Check) -> Check:
    """A list, each item as the check says."""

    def listed(value: Json) -> Problem | None:
        if type(value) is not list:
            return NOT_A_LIST
        for index, item in enumerate(value):
            problem = check(item)
            if problem:
                return problem.under(index)
        return None

    return listed


def pair_of(check: Check) -> Check:
    """A list of exactly two, each as the check says."""
    each = possibly_empty_list_of(check)

    def pair(value: Json) -> Problem | None:
        if type(value) is list and len(value) != len(("first", "second")):
            return Problem("not a list of two.")
        return each(value)

    return pair


def one_or_list_of(check: Check) -> Check:
    """A single value, or a list of at least one, each as the check says."""
    several = list_of(check)

    def one_or_several(value: Json) -> Problem | None:
        return several(value) if type(value) is list else check(value)

    return one_or_several


def object_of(fields: Mapping[str, Check], *, required: tuple[str, ...] = ()) -> Check:
    """An object with these fields and no others."""

    def described(value: Json) -> Problem | None:
        if type(value) is not dict:
            return NOT_AN_OBJECT
        for key, item in value.items():
            check = fields.get(key)
            problem = check(item) if check else Problem("unknown field.")
            if problem:
                return problem.under(key)
        for key in required:
            if key not in value:
                return Problem("missing required field.", (key,))
        return None

    return described


def with_something_in(check: Check) -> Check:
    """What the check says, of an object with at least one key."""

    def filled(value: Json) -> Problem | None:
        return EMPTY if value == {} else check(value)

    return filled


def coded(code: Code, check: Check) -> Check:
    """What the check says, refused with a code of its own."""

    def recoded(value: Json) -> Problem | None:
        problem = check(value)
        return replace(problem, code=code) if problem else None

    return recoded
