"""A destination of an invented partner, so that core and service are tested without TikTok."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Outcome,
    Refused,
    Suspect,
    WireResponse,
)
from conversion_relay.core.destination import (
    Action,
    Built,
    Field,
    FieldProblem,
    FieldType,
    OutgoingRequest,
    Probe,
    Told,
    Verdict,
)
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.match_keys import KINDS
from conversion_relay.core.plan import OnInvalidField, Target
from conversion_relay.core.preset import PresetDefinition, compile_presets
from conversion_relay.core.values import JsonObject

_KEYS = {"email": "email", "phones": "phone", "id": "external_id", "name": "name"}


@dataclass(frozen=True, slots=True)
class Greet:
    """Says a name, refuses to greet "nobody", and breaks at "explosive"."""

    slug: str = "greet"
    fields: tuple[Field, ...] = (
        Field("name", "Name", required=True),
        Field("age", "Age", FieldType.NUMBER),
        Field("batch", "Batch"),
        Field("email", "Email", match_key="email"),
        Field("phones", "Phones", multiple=True, match_key="phone"),
        Field("id", "Id", match_key="external_id"),
    )

    def build(
        self, payload: JsonObject, event: SegmentEvent, now: datetime
    ) -> Built | FieldProblem:
        """A greeting."""
        if payload["name"] == "explosive":
            raise ZeroDivisionError
        if payload["name"] == "nobody":
            return FieldProblem("name", "nobody cannot be greeted")
        warnings = (FieldProblem("name", "is short"),) if payload["name"] == "x" else ()
        return Built(
            envelope=str(payload.get("batch", "one")),
            event_name="Greeting",
            event_id=event.message_id,
            body=orjson.dumps(payload | {"at": now.isoformat()}),
            warnings=warnings,
            keys=frozenset(_KEYS[key] for key in payload if key in _KEYS),
        )


@dataclass(frozen=True, slots=True)
class Toy:
    """Sends greetings; an answer is a status.

    200 accepts all, 400 names nobody, 401 refuses the token, 403 comes from something on the way,
    409 names the first, 410 refuses.
    """

    title: str = "Toy"
    aliases: tuple[str, ...] = ("Plaything",)
    max_batch: int = 8
    event_names: frozenset[str] = frozenset({"Greeting"})
    actions: Mapping[str, Action] = field(default_factory=lambda: {"greet": Greet()})

    match_keys: tuple[str, ...] = ("email", "phone", "external_id", "name")

    def match_key(self, kind: str, text: str) -> str | None:
        """The text in small letters, which has to be of letters, digits and @ signs."""
        assert kind in KINDS
        return text.lower() if text.replace("@", "").isalnum() else None

    def request(self, envelope: str, bodies: Sequence[bytes], credential: str) -> OutgoingRequest:
        """The envelope, a colon, the bodies."""
        content = envelope.encode() + b":" + b",".join(bodies)
        return OutgoingRequest("POST", "/greet", {"Token": credential}, content)

    def outcomes(self, size: int, reply: WireResponse) -> tuple[Outcome, ...]:
        """What the status says."""
        if reply.status == 200:
            return (Accepted(),) * size
        if reply.status == 400 and size > 1:
            return (Suspect("one of these"),) * size
        if reply.status in {401, 403}:
            return (CredentialProblem("forbidden", on_the_way=reply.status == 403),) * size
        if reply.status == 409:
            return (Refused("the first"), *(Companion("of the first"),) * (size - 1))
        return (Refused("not this one"),) * size

    def told(self, reply: WireResponse) -> Told:
        """The status once more."""
        return Told(reply.status, None)

    def meaning(self, code: int) -> str | None:
        """The code once more."""
        return f"code {code}"

    def probe(self, test_event_code: str | None, now: datetime) -> Probe:
        """A greeting at that time."""
        return Probe("probe", now.isoformat().encode(), f"a probe ({test_event_code})")

    def verdict(self, probe: Probe, reply: WireResponse) -> tuple[Verdict, str]:
        """What the status says."""
        verdicts = {200: Verdict.SOUND, 401: Verdict.REFUSED}
        return verdicts.get(reply.status, Verdict.SILENT), f"{probe.says}: {reply.status}"


GREETING: JsonObject = {
    "name": {"@path": "$.properties.name"},
    "age": {"@path": "$.properties.age"},
    "batch": {"@path": "$.properties.batch"},
    "email": {"@path": "$.properties.email"},
    "phones": {"@path": "$.properties.phones"},
    "id": {"@path": "$.properties.id"},
}


def definition(name: str = "Greet", trigger: str = 'event = "Hello"') -> PresetDefinition:
    """A preset that greets."""
    return PresetDefinition(name, trigger, "greet", GREETING)


def target(
    *definitions: PresetDefinition, on_invalid_field: OnInvalidField = OnInvalidField.OMIT
) -> Target:
    """A target with these presets, or with one that greets on Hello."""
    toy = Toy()
    presets = compile_presets(definitions or (definition(),), toy.actions, "toy.json")
    return Target("toy", toy, presets, on_invalid_field)


def hello(name: object = "Ada", message_id: str = "m-1", **properties: object) -> SegmentEvent:
    """A Hello event."""
    payload: JsonObject = orjson.loads(
        orjson.dumps(
            {
                "type": "track",
                "event": "Hello",
                "messageId": message_id,
                "properties": {"name": name, **properties},
            }
        )
    )
    return SegmentEvent(payload, "track", message_id)
