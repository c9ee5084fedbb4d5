"""What this project answers to a case, and where that differs from the published answer.

Knows how to put a question to the code under test; not which differences are wanted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import cast

from conversion_relay.core import fql
from conversion_relay.core.event import SegmentEvent
from conversion_relay.core.mapping import compile_mapping
from conversion_relay.core.plan import OnInvalidField, Plan, PlannedDelivery, Target, plan
from conversion_relay.core.preset import Preset, PresetDefinition, compile_presets
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.destinations.tiktok.protocol import TikTokDestination
from conversion_relay.destinations.tiktok.web_event import TikTokSettings
from conversion_relay.errors import MappingError, TriggerError
from parity.corpus import (
    CURRENT,
    Case,
    as_object,
    changes,
    exact,
    normal_form,
    read_presets,
    subscriptions,
)

NOW = datetime(2026, 3, 14, 9, 30, tzinfo=UTC)
DESTINATION = TikTokDestination(TikTokSettings("PIXEL"))


def difference(case: Case) -> JsonObject:
    """Where this project answers otherwise than the published code; empty where it does not."""
    if case.kind == "event":
        return _of_events(_published(case), _planned(case))
    published = as_object(case.line["expected"])
    answered = _matches(case) if case.kind == "trigger" else _value(case)
    if "error" in published and "error" in answered:
        return {}
    return {} if exact(published) == exact(answered) else answered


def _matches(case: Case) -> JsonObject:
    try:
        condition = fql.parse(str(case.line["trigger"]))
    except TriggerError:
        return {"error": True}
    return {"matches": fql.matches(condition, case.event)}


def _value(case: Case) -> JsonObject:
    try:
        return {"value": compile_mapping(as_object(case.line["mapping"])).resolve(case.event)}
    except MappingError:
        return {"error": True}


def _published(case: Case) -> JsonObject:
    answers = [as_object(answer) for answer in cast("list[Json]", case.line["expected"])]
    return {
        str(answer["mapping"]): {"rejected": True}
        if "error" in answer
        else {"body": normal_form(answer["body"])}
        for answer in answers
    }


def request_bodies(case: Case) -> list[JsonObject]:
    """The request that would be sent for each delivery of the case, exactly as it would be."""
    planned = _plan(case)
    return [] if planned is None else [_body(delivery) for delivery in planned.deliveries]


def _body(delivery: PlannedDelivery) -> JsonObject:
    request = DESTINATION.request(delivery.envelope, [delivery.body], "TOKEN")
    return as_object(json.loads(request.content))


def _planned(case: Case) -> JsonObject:
    planned = _plan(case)
    return {} if planned is None else _told(planned)


def _plan(case: Case) -> Plan | None:
    event = SegmentEvent.parse(case.event)
    if not isinstance(event, SegmentEvent):
        return None
    invalid = OnInvalidField(str(case.line.get("on_invalid_field", "omit")))
    return plan(event, [Target("tiktok", DESTINATION, _presets(case), invalid)], NOW)


def _presets(case: Case) -> tuple[Preset, ...]:
    written = case.line.get("subscriptions")
    name = str(case.line.get("presets", CURRENT))
    return _compiled(subscriptions(case)) if written else _of_file(name)


@cache
def _of_file(name: str) -> tuple[Preset, ...]:
    return _compiled(read_presets(name))


def _compiled(written: list[JsonObject]) -> tuple[Preset, ...]:
    definitions = [
        PresetDefinition(
            str(one["name"]),
            str(one["subscribe"]),
            str(one["partnerAction"]),
            as_object(one["mapping"]),
        )
        for one in written
    ]
    return compile_presets(definitions, DESTINATION.actions, "the case")


def _told(planned: Plan) -> JsonObject:
    """By mapping: the whole request body or the fields that are to blame, and the warnings."""
    told: dict[str, JsonObject] = {}
    for delivery in planned.deliveries:
        told[delivery.mapping] = {"body": normal_form(_timeless(_body(delivery)))}
    kinds = {
        "rejected": planned.rejections,
        "warned": planned.warnings,
        "suppressed": planned.suppressions,
    }
    for kind, notes in kinds.items():
        for note in notes:
            named = told.setdefault(note.mapping, {}).setdefault(kind, [])
            cast("list[Json]", named).append(note.field)
    return {**told}


def _timeless(body: JsonObject) -> JsonObject:
    """The body with the present time written as it is in the cases."""
    for item in cast("list[JsonObject]", body["data"]):
        if item["event_time"] == int(NOW.timestamp()):
            item["event_time"] = "now"
    return body


def _of_events(published: Mapping[str, Json], ours: Mapping[str, Json]) -> JsonObject:
    found: JsonObject = {}
    for mapping in sorted(published.keys() | ours.keys()):
        there, here = published.get(mapping), ours.get(mapping)
        differing = _of_mapping(
            None if there is None else as_object(there), None if here is None else as_object(here)
        )
        if differing:
            found[mapping] = differing
    return found


def _of_mapping(published: JsonObject | None, ours: JsonObject | None) -> JsonObject:
    if ours is None:
        return {"unmatched": True}
    if published is None or ("body" in ours) != ("body" in published):
        return ours
    differing = changes(published.get("body"), ours.get("body"))
    if not differing:
        return {}
    answer: JsonObject = {"changes": differing}
    return answer | ({"warned": ours["warned"]} if "warned" in ours else {})
