"""The words in which a destination is declared: fields, actions, outgoing requests.

Knows no partner. A concrete destination lives under `destinations/` and is pure: it turns payloads
into request bodies and replies into outcomes, and never waits, reads a clock or touches a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol

from conversion_relay.core.delivery import Outcome, WireResponse
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.values import Json, JsonObject


class FieldType(Enum):
    """What a field holds after coercion."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Field:
    """One input of an action, as Segment's actions declare them.

    Attributes:
        key: its name in the mapping.
        label: its name in Segment's interface.
        type: what it holds; of each item where `multiple`.
        description: for people.
        required: without it the event is rejected.
        required_when: (key, value) of another field that makes this one required.
        decisive: given but not usable, the event is rejected, because it would mean something else
            without it; only of fields that lie in no other.
        multiple: a list; a single value is accepted and becomes a list of one.
        choices: the only values accepted; empty means any.
        properties: the fields inside an object; keys not named here are dropped.
        match_key: its kind (see `match_keys.KINDS`), if it says who somebody is.
        rule: a further check of the coerced value: a sentence when it is broken, else None.
    """

    key: str
    label: str
    type: FieldType = FieldType.STRING
    description: str = ""
    required: bool = False
    required_when: tuple[str, str] | None = None
    decisive: bool = False
    multiple: bool = False
    choices: tuple[str, ...] = ()
    properties: tuple[Field, ...] = ()
    rule: Callable[[Json], str | None] | None = None
    match_key: str | None = None


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """What is wrong with one field, or was done to it.

    Attributes:
        field: dotted path, such as `contents.0.price`.
        reason: a sentence that never repeats the value, which may be personal.
    """

    field: str
    reason: str


@dataclass(frozen=True, slots=True)
class Worth:
    """What a conversion is worth.

    Attributes:
        micros: millionths of the currency's unit.
        currency: its three letters.
    """

    micros: int
    currency: str


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer says of itself, beside what it means for events.

    Attributes:
        code: the partner's own.
        request_id: by which its support finds the request.
    """

    code: int | None = None
    request_id: str | None = None


class Verdict(Enum):
    """What the answer to a probe shows."""

    SOUND = "sound"  # the credential was accepted, and the event taken where it was whole
    REFUSED = "refused"  # the credential or a setting was refused
    SILENT = "silent"  # nothing was learnt: no answer, or one that says to try again


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that shows whether credential and settings are good, and counts nowhere.

    Attributes:
        envelope: as of deliveries.
        body: one element, encoded JSON.
        says: what it is and what it can show, in a sentence for people.
    """

    envelope: str
    body: bytes
    says: str


@dataclass(frozen=True, slots=True)
class Built:
    """One event in the partner's form.

    Attributes:
        envelope: what events must share to travel in one request, as the destination writes it.
        event_name: the partner's name of the event.
        event_id: by which the partner recognises a copy; None means it cannot.
        body: the event's element of the request, encoded JSON.
        warnings: what was left out or replaced.
        shared: what the destination's settings changed of it or left out, for those who ask.
        keys: which of the destination's `match_keys` the body carries.
        worth: what the conversion is worth, where both value and currency are known.
    """

    envelope: str
    event_name: str
    event_id: str | None
    body: bytes
    warnings: tuple[FieldProblem, ...] = ()
    shared: tuple[FieldProblem, ...] = ()
    keys: frozenset[str] = frozenset()
    worth: Worth | None = None


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request ready for the wire; `headers` carry the credential and must not be logged."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


class Action(Protocol):
    """One thing a destination can do with an event."""

    @property
    def slug(self) -> str:
        """Its name in presets (`partnerAction`)."""
        ...

    @property
    def fields(self) -> tuple[Field, ...]:
        """Its inputs, in order."""
        ...

    def build(
        self, payload: JsonObject, event: SegmentEvent, now: datetime
    ) -> Built | FieldProblem:
        """The partner's form of a checked payload, or the required field that is not usable.

        Args:
            payload: what `coercion.Checker` passed; not changed.
            event: the event it came from, for fallbacks such as receivedAt.
            now: aware; used only where the event has no time at all.
        """
        ...


class Destination(Protocol):
    """A partner: its actions and its wire protocol."""

    @property
    def title(self) -> str:
        """Its name for people, and in an event's `integrations`."""
        ...

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its further names in `integrations`."""
        ...

    @property
    def actions(self) -> Mapping[str, Action]:
        """By slug."""
        ...

    @property
    def max_batch(self) -> int:
        """The most events one request may carry."""
        ...

    @property
    def event_names(self) -> frozenset[str]:
        """The names of events that the partner itself defines."""
        ...

    @property
    def match_keys(self) -> tuple[str, ...]:
        """By what it recognises people, in the order of reports; a kind is called as it is."""
        ...

    def match_key(self, kind: str, text: str) -> str | None:
        """The form in which a key of this kind would be sent; None where it is malformed."""
        ...

    def request(self, envelope: str, bodies: Sequence[bytes], credential: str) -> OutgoingRequest:
        """One request with all the bodies, joined as bytes, in their order."""
        ...

    def outcomes(self, size: int, reply: WireResponse) -> tuple[Outcome, ...]:
        """What the reply means for each of the `size` events of the request, in their order."""
        ...

    def told(self, reply: WireResponse) -> Told:
        """What the reply says of itself."""
        ...

    def meaning(self, code: int) -> str | None:
        """What this code of the partner says, in a few words; None where that is not known."""
        ...

    def probe(self, test_event_code: str | None, now: datetime) -> Probe:
        """What to send to learn whether credential and settings are good.

        Args:
            test_event_code: with it the probe is a whole test event; without, one that is
                incomplete on purpose, so that it is refused and counts nowhere.
            now: aware; of the event.
        """
        ...

    def verdict(self, probe: Probe, reply: WireResponse) -> tuple[Verdict, str]:
        """What the answer to the probe shows, and a sentence for people without any secret."""
        ...
