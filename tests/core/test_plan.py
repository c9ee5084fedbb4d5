"""The heart: what one event leads to, with a toy destination."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from conversion_relay.core.event import MalformedEvent, SegmentEvent
from conversion_relay.core.filters import ConsentRule
from conversion_relay.core.plan import Note, OnInvalidField, Plan, plan
from conversion_relay.core.preset import PresetDefinition, compile_presets
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import PresetError
from support.toy import GREETING, definition, hello, target

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_a_matching_event_becomes_a_delivery() -> None:
    result = plan(hello(age="36"), [target()], NOW)
    (delivery,) = result.deliveries
    assert (delivery.destination, delivery.mapping) == ("toy", "Greet")
    assert (delivery.envelope, delivery.event_name, delivery.event_id) == (
        "one",
        "Greeting",
        "m-1",
    )
    assert orjson.loads(delivery.body) == {"name": "Ada", "age": 36, "at": NOW.isoformat()}
    assert not result.warnings
    assert not result.rejections
    assert not result.unmatched


def test_no_trigger_is_unmatched() -> None:
    other = SegmentEvent({"type": "track", "event": "Bye"}, "track", None)
    assert plan(other, [target()], NOW).unmatched


def test_every_matching_mapping_of_every_target_delivers() -> None:
    two = target(definition("a"), definition("b", 'type = "track"'), definition("c", 'type = "x"'))
    result = plan(hello(), [two, target()], NOW)
    assert [one.mapping for one in result.deliveries] == ["a", "b", "Greet"]


def test_an_invalid_optional_field_is_left_out_with_a_warning() -> None:
    result = plan(hello(age="old"), [target()], NOW)
    assert "age" not in orjson.loads(result.deliveries[0].body)
    (warning,) = result.warnings
    assert (warning.destination, warning.mapping, warning.field) == ("toy", "Greet", "age")
    assert "old" not in warning.reason


def test_an_invalid_optional_field_rejects_the_event_where_asked() -> None:
    result = plan(hello(age="old"), [target(on_invalid_field=OnInvalidField.REJECT)], NOW)
    assert not result.deliveries
    assert not result.warnings
    assert [note.field for note in result.rejections] == ["age"]
    assert not result.unmatched


@pytest.mark.parametrize("name", [None, "", {"first": "Ada"}])
def test_a_required_field_that_is_not_usable_rejects(name: object) -> None:
    result = plan(hello(name), [target()], NOW)
    assert not result.deliveries
    assert [note.field for note in result.rejections] == ["name"]


def test_the_action_may_reject_and_warn() -> None:
    rejected = plan(hello("nobody"), [target()], NOW)
    assert rejected.rejections == (Note("toy", "Greet", "name", "nobody cannot be greeted"),)
    warned = plan(hello("x"), [target()], NOW)
    assert warned.warnings == (Note("toy", "Greet", "name", "is short"),)
    assert len(warned.deliveries) == 1


def test_a_field_whose_mapping_fails_is_left_out() -> None:
    failing = PresetDefinition(
        "Greet",
        'event = "Hello"',
        "greet",
        {**GREETING, "age": {"@template": {"@path": "$.properties.age"}}},
    )
    result = plan(hello(age=36), [target(failing)], NOW)
    assert "age" not in orjson.loads(result.deliveries[0].body)
    assert [note.field for note in result.warnings] == ["age"]


def test_the_event_is_not_changed() -> None:
    event = hello(age="36", more=[1, {"a": None}])
    before = copy.deepcopy(event.payload)
    plan(event, [target()], NOW)
    assert event.payload == before


def forbidding(event: SegmentEvent, **integrations: Json) -> SegmentEvent:
    return replace(event, payload={**event.payload, "integrations": {**integrations}})


def test_what_the_event_forbids_is_noted_for_each_matching_mapping_and_not_mapped() -> None:
    """An explosive name would raise if it were mapped."""
    three = target(definition("a"), definition("b"), definition("c", 'event = "Bye"'))
    result = plan(forbidding(hello("explosive"), All=False), [three], NOW)
    reason = "says false for All"
    assert result.suppressions == (
        Note("toy", "a", "integrations", reason),
        Note("toy", "b", "integrations", reason),
    )
    assert result == Plan(suppressions=result.suppressions)
    assert not result.unmatched


def test_what_no_trigger_matches_is_unmatched_and_not_suppressed() -> None:
    other = SegmentEvent({"type": "track", "event": "Bye", "integrations": {"All": False}}, "", "")
    result = plan(other, [target()], NOW)
    assert result.unmatched
    assert not result.suppressions


def test_one_destination_may_be_forbidden_and_another_not() -> None:
    first = replace(target(), name="first")
    second = replace(target(), name="second", consent=ConsentRule(("advertising",)))
    result = plan(hello(), [first, second], NOW)
    assert [one.destination for one in result.deliveries] == ["first"]
    assert [(one.destination, one.field) for one in result.suppressions] == [
        ("second", "context.consent")
    ]
    consenting: JsonObject = {"consent": {"categoryPreferences": {"advertising": True}}}
    event = replace(hello(), payload={**hello().payload, "context": {**consenting}})
    assert [one.destination for one in plan(event, [first, second], NOW).deliveries] == [
        "first",
        "second",
    ]


def test_mappings_read_options_given_under_any_name() -> None:
    reading = PresetDefinition(
        "Greet",
        'event = "Hello"',
        "greet",
        {**GREETING, "batch": {"@path": "$.integrations.Toy.batch"}},
    )
    for name in ("Toy", "TOY", "plaything"):
        options: JsonObject = {name: {"batch": "two"}}
        event = forbidding(hello(), **options)
        (delivery,) = plan(event, [target(reading)], NOW).deliveries
        assert delivery.envelope == "two"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ([], "a list"),
        ("text", "a string"),
        (None, "null"),
        ({}, "missing"),
        ({"type": ""}, "an empty string"),
        ({"type": 5}, "a number"),
    ],
)
def test_what_is_no_event_says_why(payload: Json, reason: str) -> None:
    parsed = SegmentEvent.parse(payload)
    assert isinstance(parsed, MalformedEvent)
    assert reason in parsed.reason


def test_fifty_mappings_are_enough_and_the_fifty_first_is_refused() -> None:
    fifty = [definition(f"n{n}") for n in range(50)]
    assert len(target(*fifty).presets) == 50
    with pytest.raises(PresetError, match=r"51 mappings, at most 50 .* too many is \"n50\""):
        target(*fifty, definition("n50"))


def test_every_problem_of_a_preset_set_is_said_at_once() -> None:
    broken = [
        PresetDefinition("one", "type = ", "greet", GREETING),
        PresetDefinition("two", 'type = "track"', "greed", {"name": {"@pat": "$.x"}}),
        definition("three"),
        definition("three"),
    ]
    with pytest.raises(PresetError) as caught:
        compile_presets(broken, target().destination.actions, "mine.json")
    message = str(caught.value)
    for words in (
        "mine.json: one: subscribe:",
        'mine.json: two: partnerAction "greed" is not known; known: greet',
        "mine.json: two: mapping /name",
        'more than one mapping is named "three"',
    ):
        assert words in message
