"""The `user` object of an event: who the visitor is, normalised and hashed.

Knows which fields of a payload name a visitor; not how each is normalised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from conversion_relay.core.destination import FieldProblem
from conversion_relay.core.match_keys import EMAIL, EXTERNAL_ID, PHONE
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok import normalise
from conversion_relay.destinations.tiktok.normalise import Normalise


@dataclass(frozen=True, slots=True)
class Identifier:
    """One key of `user`, and where it comes from.

    Attributes:
        wire: TikTok's key.
        key: the key in the payload.
        normalise: gives the form to send.
        complaint: what is wrong with a value of which nothing usable is left.
    """

    wire: str
    key: str
    normalise: Normalise
    complaint: str


_NAME: Final = normalise.hashed(normalise.letters)
_EMPTY: Final = "holds neither a letter nor a digit; it is left out"

_NAMES: Final = (
    Identifier("first_name", "first_name", _NAME, _EMPTY),
    Identifier("last_name", "last_name", _NAME, _EMPTY),
)
_ADDRESS: Final = (
    Identifier("city", "city", normalise.letters, _EMPTY),
    Identifier("state", "state", normalise.letters, _EMPTY),
    Identifier(
        "country", "country", normalise.country, "must be two letters (ISO 3166); it is left out"
    ),
    Identifier("zip_code", "zip_code", normalise.hashed(normalise.postal_code), _EMPTY),
)
_RAW: Final = ("user_agent", "locale")

MATCH_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    EMAIL: ("email",),
    PHONE: ("phone",),
    EXTERNAL_ID: ("external_id",),
    "ttclid": ("ttclid",),
    "ttp": ("ttp",),
    "ip_and_user_agent": ("ip", "user_agent"),
}
"""By what TikTok recognises a visitor: name, and the keys of `user` that must all be there."""


def carried(user: Json) -> frozenset[str]:
    """The names of the match keys that a `user` object holds."""
    return _named_by(tuple(user)) if isinstance(user, dict) else frozenset()


@lru_cache(maxsize=1024)
def _named_by(held: tuple[str, ...]) -> frozenset[str]:
    """There are few ways to fill an object, and many events."""
    return frozenset([name for name, keys in MATCH_KEYS.items() if set(keys) <= set(held)])


_AN_ADDRESS: Final = re.compile(r"[^@\s]+@[^@\s]+")
_FEWEST_PHONE_DIGITS: Final = 7
_IS_WELL_FORMED: Final[Mapping[str, Callable[[str], bool]]] = {
    EMAIL: lambda text: bool(_AN_ADDRESS.fullmatch(text)),
    PHONE: lambda text: sum(map(str.isdigit, text)) >= _FEWEST_PHONE_DIGITS,
}
"""What is to be remembered is judged more strictly than what an event itself says."""


@dataclass(frozen=True, slots=True)
class UserBuilder:
    """Makes the `user` object of an event; `lists` are the identifiers that may be several."""

    lists: tuple[Identifier, ...]

    @staticmethod
    def of(phone_region: str | None, external_id: Normalise) -> UserBuilder:
        """With the region of national phone numbers, and the canonical form of external ids."""
        phone = normalise.hashed(normalise.phone(phone_region))
        email = normalise.hashed(str.lower)
        digits = f"must have 1 to {normalise.MAX_PHONE_DIGITS} digits; it is left out"
        return UserBuilder(
            (
                Identifier("external_id", "external_id", normalise.hashed(external_id), _EMPTY),
                Identifier("phone", "phone_number", phone, digits),
                Identifier("email", "email", email, _EMPTY),
            )
        )

    def match_key(self, kind: str, text: str) -> str | None:
        """The form of an identifier that may be several; None where the text is malformed."""
        identifier = next((one for one in self.lists if one.wire == kind), None)
        is_well_formed = _IS_WELL_FORMED.get(kind, bool)
        trimmed = text.strip()
        if identifier is None or not (normalise.is_hash(trimmed) or is_well_formed(trimmed)):
            return None
        return identifier.normalise(trimmed)

    def build(self, payload: JsonObject, warnings: list[FieldProblem]) -> JsonObject:
        """The object, with keys only where there is a value; adds to the warnings."""
        user: JsonObject = {}
        for identifier in self.lists:
            values = payload.get(identifier.key)
            if isinstance(values, list):
                _add_list(user, identifier, values, warnings)
        _add(user, _NAMES, payload, "", warnings)
        address = payload.get("address")
        if isinstance(address, dict):
            _add(user, _ADDRESS, address, "address.", warnings)
        _add_signals(user, payload, warnings)
        return user


def _add_list(
    user: JsonObject, identifier: Identifier, values: list[Json], warnings: list[FieldProblem]
) -> None:
    kept: list[Json] = []
    for index, value in enumerate(values):
        form = identifier.normalise(value) if isinstance(value, str) else None
        if form:
            kept.append(form)
        elif not _is_blank(value):
            problem = FieldProblem(f"{identifier.key}.{index}", identifier.complaint)
            warnings.append(problem)
    if kept:
        user[identifier.wire] = kept


def _add(
    user: JsonObject,
    identifiers: Iterable[Identifier],
    values: Mapping[str, Json],
    inside: str,
    warnings: list[FieldProblem],
) -> None:
    for identifier in identifiers:
        value = values.get(identifier.key)
        if not isinstance(value, str):
            continue
        form = identifier.normalise(value)
        if form:
            user[identifier.wire] = form
        elif not _is_blank(value):
            warnings.append(FieldProblem(inside + identifier.key, identifier.complaint))


def _is_blank(value: Json) -> bool:
    return isinstance(value, str) and not value.strip()


_IP: Final = (
    Identifier(
        "ip", "ip", normalise.ip_address, "must be an IPv4 or IPv6 address; it is left out"
    ),
)


def _add_signals(user: JsonObject, payload: JsonObject, warnings: list[FieldProblem]) -> None:
    """What TikTok gets raw: click id, cookie, address, browser, language."""
    url = payload.get("url")
    click = (normalise.click_id(url) if isinstance(url, str) else None) or payload.get("ttclid")
    if click:
        user["ttclid"] = click
    if payload.get("ttp"):
        user["ttp"] = payload["ttp"]
    _add(user, _IP, payload, "", warnings)
    for key in _RAW:
        if payload.get(key):
            user[key] = payload[key]
