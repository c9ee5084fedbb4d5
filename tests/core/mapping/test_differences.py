"""Where the mapping language differs from the published code on purpose: one test for each.

The published answer stands beside ours, so that each difference can be judged (docs/parity.md).
"""

from __future__ import annotations

import pytest

from conversion_relay.core.mapping import compile_mapping
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import MappingError

EVENT: JsonObject = {
    "userId": "u1",
    "emoji": "a\U0001f600b",
    "template": "{{userId}}",
    "flag": True,
    "big": 12345678901234567890,
    "count": 5,
    "receivedAt": "2024-03-05T06:07:09Z",
}


def resolve(value: Json, event: JsonObject = EVENT) -> Json:
    return compile_mapping({"x": value}).resolve(event).get("x")


def problem(value: Json) -> str:
    with pytest.raises(MappingError) as caught:
        compile_mapping({"x": value})
    return caught.value.problems[0].sentence


def test_a_value_put_into_a_template_is_not_read_as_a_template_again() -> None:
    published = "u1"  # an event could reach into any other part of itself
    assert resolve({"@template": "{{{template}}}"}) == "{{userId}}" != published


def test_members_that_every_javascript_object_has_are_not_found() -> None:
    # published: exists, since {}.constructor does
    assert resolve({"@if": {"exists": {"@path": "$.constructor"}, "then": 1, "else": 2}}) == 2


def test_a_position_in_a_text_counts_characters_not_half_pairs() -> None:
    published = "\ud83d"  # half an emoji, which cannot be sent
    assert resolve({"@path": "$.emoji[1]"}) == "\U0001f600" != published


def test_a_mode_or_direction_in_other_letters_is_a_problem() -> None:
    # published: "Encode" gives nothing, "LEFT" merges to the right
    assert '"Encode"' in problem({"@json": {"mode": "Encode", "value": "a"}})
    assert '"LEFT"' in problem({"@merge": {"direction": "LEFT", "objects": []}})


def test_a_faulty_directive_is_found_even_where_no_event_reaches_it() -> None:
    # published: resolves until an event takes the branch
    nowhere: Json = {"@if": {"exists": "a", "then": 1, "else": {"@case": {"value": "a"}}}}
    assert "operator" in problem(nowhere)
    assert "@nope" in problem({"@literal": {"a": [{"@nope": 1}]}})


def test_a_directive_beside_plain_keys_is_a_problem_inside_literals_too() -> None:
    # published: inside @literal it is taken for a plain object and sent as it is written
    assert "alone" in problem({"@literal": {"a": {"@path": "$.userId", "b": 1}}})


def test_a_mapping_that_gives_no_object_cannot_be_resolved() -> None:
    with pytest.raises(MappingError, match="a string"):  # published: gives the text "u1"
        compile_mapping({"@path": "$.userId"}).resolve(EVENT)


def test_an_absent_list_item_is_printed_as_nothing() -> None:
    absent: Json = {"@literal": [{"@path": "$.nope"}]}
    # where the published code prints an object, "[object Object]"
    assert resolve({"@arrayPath": [absent, {"t": {"@template": "<{{ }}>"}}]}) == [{"t": "<>"}]


def test_a_root_directive_may_stand_in_apply() -> None:
    nested: Json = {
        "__segment_internal_directive": {"@transform": {"apply": {"k": {"@path": "$.count"}}}},
        "z": {"@path": "$.k"},
    }
    # published: refuses it, because it checks before it puts the mapping in
    assert resolve({"@transform": {"apply": nested, "mapping": {"o": {"@path": "z"}}}}) == {"o": 5}


def test_whole_numbers_keep_their_digits() -> None:
    assert resolve({"@template": "{{big}}"}) == "12345678901234567890"  # published: …567000
    assert resolve({"@json": {"mode": "decode", "value": "9007199254740993"}}) == 9007199254740993
    assert resolve({"@liquid": "{{ big }}"}) == "12345678901234567890"


def test_json_text_with_a_number_beyond_all_bounds_stays_text() -> None:
    assert resolve({"@json": {"mode": "decode", "value": "[1e999]"}}) == "[1e999]"  # [null]


LIQUID_PROBLEMS = {
    "{{ userId | downcse }}": "downcase",  # published: an unknown filter changes nothing
    "{{ userId | sample }}": "disabled",  # published: draws lots
    "{% break %}x": "disabled",  # published: ends the output
    "{{ userId | }}": "cannot be read",  # published: "u1"
    "{{ count == 5 }}": "cannot be read",  # published: "true"
    '{{ "a" "b" }}': "cannot be read",  # published: "a"
    "{{ a b }}": "cannot be read",  # published: ""
    "{{ .5 }}": "cannot be read",  # published: ""
    "{{ -count }}": "cannot be read",  # published: ""
    "{{ nil.a }}": "cannot be read",  # published: ""
    '{{ "}}" }}': "cannot be read",  # published: "}}"
    '{% capture "q" %}1{% endcapture %}': "cannot be read",  # published: the name may be quoted
    "{{ 'it\\'s \"so\"' }}": "both kinds of quotes",  # published: backslashes escape quotes
}


@pytest.mark.parametrize("template", LIQUID_PROBLEMS)
def test_what_liquidjs_passes_over_is_a_problem(template: str) -> None:
    assert LIQUID_PROBLEMS[template] in problem({"@liquid": template})


LIQUID_ANSWERS: dict[str, tuple[str, str]] = {  # template: ours, published
    "{{ nil | json }}": ("null", "{}"),
    '{% if userId <> "a" %}differs{% endif %}': ("differs", ""),
    "{{ emoji | split: '' | size }}": ("3", "4"),
    '{{ "now" | date: "%Y-%m-%d" }}': ("2024-03-05", "the day on which it is rendered"),
}


@pytest.mark.parametrize("template", LIQUID_ANSWERS)
def test_liquid_answers_that_differ(template: str) -> None:
    assert resolve({"@liquid": template}) == LIQUID_ANSWERS[template][0]


def test_increment_does_not_change_the_event_for_the_fields_after_it() -> None:
    mapping: JsonObject = {"a": {"@liquid": "{% increment count %}"}, "b": {"@path": "$.count"}}
    assert compile_mapping(mapping).resolve(EVENT) == {"a": "5", "b": 5}  # published: 6


def test_now_needs_an_event_that_says_when_it_was_received() -> None:
    with pytest.raises(MappingError, match="receivedAt"):
        resolve({"@liquid": '{{ "now" | date }}'}, {"userId": "u1"})


def test_a_zone_is_given_in_minutes_not_by_name() -> None:
    with pytest.raises(MappingError, match="minutes"):  # published: knows the names of zones
        resolve({"@liquid": '{{ receivedAt | date: "%H", "Europe/Berlin" }}'})


def test_a_date_in_a_form_that_is_not_known_is_printed_as_it_is() -> None:
    rolled_over = "01"  # the published answer: the first of March
    assert resolve({"@liquid": '{{ "2024-02-30" | date: "%d" }}'}) == "2024-02-30" != rolled_over
    published = "2001"  # whatever the engine of JavaScript guesses
    assert resolve({"@liquid": '{{ "Mar 5" | date: "%Y" }}'}) == "Mar 5" != published


def test_a_work_limit_stands_for_the_time_and_memory_limits() -> None:
    doubling = "{% assign a = a | append: a %}" * 30
    with pytest.raises(MappingError, match="more work"):
        resolve({"@liquid": doubling + "{{ a }}"}, {"a": "xx"})
