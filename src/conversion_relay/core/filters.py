"""Filters as Segment has them: what an event itself says of the destinations that may get it.

Two parts of an event speak: `context.consent` says what its user agreed to, `integrations` names
destinations and switches them on or off. A wish that cannot be read is taken as a no: what is held
back can still be sent later, what was sent cannot be called back. Knows no mapping and no partner.
Source: segment.com/docs, "Consent in Segment Connections" (consent is looked at first; all of a
destination's categories must be true) and "Filtering your Segment Data" (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from conversion_relay.core.destination import FieldProblem
from conversion_relay.core.values import Json, JsonObject, json_type

INTEGRATIONS: Final = "integrations"
CONSENT: Final = "context.consent"
_ALL: Final = "all"
_WORDS: Final = {"true": True, "false": False}


class WithoutConsent(Enum):
    """What becomes of an event that says nothing of consent, where consent is required."""

    SUPPRESS = "suppress"
    SEND = "send"  # as Segment does


@dataclass(frozen=True, slots=True)
class ConsentRule:
    """What a destination requires of an event's consent.

    Attributes:
        categories: each must be true; none: nothing is required.
        when_missing: see WithoutConsent.
    """

    categories: tuple[str, ...] = ()
    when_missing: WithoutConsent = WithoutConsent.SUPPRESS


NOT_REQUIRED: Final = ConsentRule()


@dataclass(frozen=True, slots=True)
class Names:
    """What a destination is called in `integrations`, in any case of letters.

    Attributes:
        canonical: under which mappings read its options.
        ranks: the names in lower case; those of a later rank win over those before.
    """

    canonical: str
    ranks: tuple[frozenset[str], ...]

    @staticmethod
    def of(configured: str, title: str, aliases: Iterable[str]) -> Names:
        """The partner's names, over which the configured one wins."""
        partner = frozenset(name.casefold() for name in (title, *aliases))
        return Names(title, (partner, frozenset({configured.casefold()})))


def refusal(payload: JsonObject, names: Names, consent: ConsentRule) -> FieldProblem | None:
    """Why the destination may not get the event, or None; never a value of the event."""
    reason = _without_consent(payload, consent) if consent.categories else None
    if reason is not None:
        return FieldProblem(CONSENT, reason)
    integrations = payload.get(INTEGRATIONS)
    if not isinstance(integrations, dict) or not integrations:
        return None
    reason = _switched_off(integrations, names)
    return None if reason is None else FieldProblem(INTEGRATIONS, reason)


def with_options(payload: JsonObject, names: Names) -> JsonObject:
    """The payload with the destination's options where mappings read them; it is not changed.

    Of several options objects the one of the configured name wins, key by key.
    """
    integrations = payload.get(INTEGRATIONS)
    if not isinstance(integrations, dict) or not integrations:
        return payload
    found = {
        key: value
        for rank in names.ranks
        for key, value in _named(integrations, rank)
        if isinstance(value, dict)
    }
    if not found or list(found) == [names.canonical]:
        return payload
    options = {name: value for one in found.values() for name, value in one.items()}
    return {**payload, INTEGRATIONS: {**integrations, names.canonical: options}}


def _without_consent(payload: JsonObject, rule: ConsentRule) -> str | None:
    context = payload.get("context")
    consent = context.get("consent") if isinstance(context, dict) else None
    if consent is None or (isinstance(consent, dict) and _says_nothing(consent)):
        missing = rule.when_missing is WithoutConsent.SUPPRESS
        return "is missing, and consent is required" if missing else None
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else consent
    if not isinstance(preferences, dict):
        return f"holds no object of categoryPreferences, but {json_type(preferences)}"
    refused = [name for name in rule.categories if preferences.get(name) is not True]
    if not refused:
        return None
    return f"does not say true for {', '.join(refused)}"


def _says_nothing(consent: JsonObject) -> bool:
    return consent.get("categoryPreferences") is None


def _switched_off(integrations: JsonObject, names: Names) -> str | None:
    """The configured name speaks first, then the partner's names, then All."""
    for rank in (*reversed(names.ranks), frozenset({_ALL})):
        found = [reason for _, value in _named(integrations, rank) for reason in _read(value)]
        refused = [reason for reason in found if reason]
        if refused:
            who = "All" if _ALL in rank else "this destination"
            return f"{refused[0]} for {who}"
        if found:
            return None
    return None


def _named(integrations: JsonObject, rank: frozenset[str]) -> Iterator[tuple[str, Json]]:
    return ((key, value) for key, value in integrations.items() if key.casefold() in rank)


def _read(value: Json) -> Iterator[str]:
    """Nothing of a value that says nothing, "" of a yes, a reason of a no."""
    if value is None:
        return
    if isinstance(value, str):
        value = _WORDS.get(value.strip().casefold(), value)
    if isinstance(value, bool):
        yield "" if value else "says false"
    elif isinstance(value, dict) or value == []:  # PHP writes an empty object as a list
        yield ""
    else:
        yield f"says {json_type(value)}, which is neither true, false nor options,"
