"""Problems of a mapping: all of them at once, each with its pointer, as soon as it is compiled."""

from __future__ import annotations

import pytest

from conversion_relay.core.mapping import CompiledMapping, compile_mapping
from conversion_relay.core.mapping.directives import DIRECTIVES
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import MappingError, MappingProblem


def problems(mapping: JsonObject) -> dict[str, str]:
    with pytest.raises(MappingError) as caught:
        compile_mapping(mapping)
    return {each.pointer: each.sentence for each in caught.value.problems}


def test_all_problems_are_found_together() -> None:
    found = problems(
        {
            "a/b": {"@pth": "$.userId"},
            "c~d": [1, {"deep": {"@if": {"then": 1}}}],
            "e": {"@path": 5},
            "f": {"@replace": {"pattern": "12345678901", "value": 7, "ignorecase": "no"}},
            "g": {"@merge": {"direction": "up", "objects": [1, {"@case": {}}]}},
            "h": {"@liquid": "{{ a | reverse | nosuch }}"},
            "fine": {"@path": "$.userId"},
        }
    )
    assert found == {
        "/a~1b/@pth": '"@pth" is no directive; the closest is "@path"',
        "/c~0d/1/deep/@if": '@if requires an "exists" or a "blank", found then',
        "/e/@path": "@path takes a string or a directive, this is a number",
        "/f/@replace/ignorecase": '"ignorecase" of @replace is a string, expected true or false',
        "/f/@replace/pattern": '"pattern" of @replace has 11 characters, at most 10 are allowed',
        "/f/@replace/value": "@replace takes a string or a directive, this is a number",
        "/g/@merge/direction": '"direction" of @merge is "up", expected "right" or "left"',
        "/g/@merge/objects/0": "@merge takes an object or a directive, this is a number",
        "/g/@merge/objects/1/@case": '@case requires a "operator", which is missing',
        "/h/@liquid": '"nosuch" is no filter; the closest is "squish"',
    }


WRONG: dict[str, tuple[Json, str]] = {
    "two directives": ({"@path": "a", "@template": "b"}, ""),
    "beside plain keys": ({"@path": "a", "b": 1}, ""),
    "no options": ({"@if": "a"}, "/@if"),
    "a directive as options": ({"@if": {"@path": "a"}}, "/@if"),
    "exists is empty": ({"@if": {"exists": None, "blank": ""}}, "/@if"),
    "inside then": ({"@if": {"exists": "a", "then": {"@x": 1}}}, "/@if/then/@x"),
    "no list": ({"@arrayPath": "$.a"}, "/@arrayPath"),
    "an empty list": ({"@arrayPath": []}, "/@arrayPath"),
    "no path": ({"@arrayPath": [{"a": 1}]}, "/@arrayPath/0"),
    "inside the shape": ({"@arrayPath": ["a", {"b": {"@x": 1}}]}, "/@arrayPath/1/b/@x"),
    "operator of @case": ({"@case": {"operator": 1, "value": "a"}}, "/@case/operator"),
    "a fixed text": ({"@case": {"operator": "title", "value": "a"}}, "/@case/operator"),
    "value of @case": ({"@case": {"operator": "upper", "value": 1}}, "/@case/value"),
    "no pattern": ({"@replace": {"value": "a"}}, "/@replace"),
    "an empty pattern": ({"@replace": {"value": "a", "pattern": ""}}, "/@replace/pattern"),
    "no value": ({"@replace": {"pattern": "a"}}, "/@replace"),
    "second pattern": (
        {"@replace": {"pattern": "a", "pattern2": "12345678901", "value": "a"}},
        "/@replace/pattern2",
    ),
    "no objects": ({"@merge": {"direction": "left"}}, "/@merge"),
    "objects": ({"@merge": {"direction": "left", "objects": {}}}, "/@merge/objects"),
    "no separator": ({"@flatten": {"value": 1}}, "/@flatten"),
    "separator": ({"@flatten": {"value": 1, "separator": 5}}, "/@flatten/separator"),
    "nothing to flatten": ({"@flatten": {"separator": "."}}, "/@flatten"),
    "mode": ({"@json": {"mode": "x", "value": 1}}, "/@json/mode"),
    "nothing to encode": ({"@json": {"mode": "encode", "value": 0}}, "/@json/value"),
    "apply": ({"@transform": {"apply": [1], "mapping": {"a": 1}}}, "/@transform/apply"),
    "no mapping": ({"@transform": {"apply": {"a": 1}}}, "/@transform"),
    "no template": ({"@liquid": 5}, "/@liquid"),
    "a long template": ({"@liquid": "\U0001f600" * 501}, "/@liquid"),
    "an open tag": ({"@liquid": "{% if a %}"}, "/@liquid"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_problem_is_found_at_its_place(name: str) -> None:
    value, pointer = WRONG[name]
    assert list(problems({"x": {"y": value}})) == [f"/x/y{pointer}"]


@pytest.mark.parametrize("name", DIRECTIVES)
def test_the_closest_directive_is_suggested(name: str) -> None:
    typo = name[:-1] + "Q"
    assert problems({"x": {typo: "a"}}) == {
        f"/x/{typo}": f'"{typo}" is no directive; the closest is "{name}"'
    }


ROOTS: dict[str, Json] = {
    "/__segment_internal_directive": 5,
    "/__segment_internal_directive/@path": {"@path": "a"},
    "/__segment_internal_directive/@nope": {"@nope": {}},
    "/__segment_internal_directive/@transform": {"@transform": {}},
}


@pytest.mark.parametrize("pointer", ROOTS)
def test_the_root_directive_is_checked(pointer: str) -> None:
    found = problems({"__segment_internal_directive": ROOTS[pointer], "x": 1})
    assert list(found) == [pointer]


def nested(levels: int) -> JsonObject:
    value: Json = 1
    for _ in range(levels):
        value = {"a": [value]}
    return {"x": value}


def test_a_mapping_may_be_a_hundred_levels_deep() -> None:
    assert compile_mapping(nested(49)).resolve({}) == nested(49)


def test_a_deeper_mapping_is_a_problem_and_no_crash() -> None:
    (pointer,) = problems(nested(5000))
    assert pointer.count("/") == 101


def test_depth_is_counted_inside_directives_too() -> None:
    deep = nested(5000)["x"]
    found = problems({"x": {"@if": {"exists": deep, "then": deep, "else": {"@literal": deep}}}})
    assert len(found) == 3


def test_an_event_nested_too_deeply_fails_its_field_only() -> None:
    deep: Json = []
    for _ in range(5000):
        deep = [deep]
    mapping = compile_mapping(
        {"x": {"@json": {"mode": "encode", "value": {"@path": "d"}}}, "y": {"@path": "e"}}
    )
    resolution = mapping.evaluate({"d": deep, "e": 1})
    assert resolution.payload == {"y": 1}
    assert resolution.problems == (
        MappingProblem("/x", "the event is nested too deeply for this"),
    )


MIXED = compile_mapping(
    {
        "a/b": {"@path": {"@path": "$.number"}},
        "ok": {"@path": "$.text"},
        "case": {"@case": {"operator": "title", "value": {"@path": "$.text"}}},
    }
)


def test_what_can_be_resolved_is_kept_and_the_rest_reported() -> None:
    resolution = MIXED.evaluate({"number": 5, "text": "secret"})
    assert resolution.payload == {"ok": "secret"}
    assert [problem.pointer for problem in resolution.problems] == ["/a~1b", "/case"]


def test_no_sentence_holds_a_value_of_the_event() -> None:
    with pytest.raises(MappingError) as caught:
        MIXED.resolve({"number": 5, "text": "secret"})
    assert "secret" not in str(caught.value)


SECRETIVE = [
    "{{ s | append }}",
    "{{ s | url_decode }}",
    "{{ s | base64_decode }}",
    "{{ (1..s) }}",
    "{{ list[big] }}",
    "{{ s | replace: '', s | replace: '', s | replace: '', s }}",
]


@pytest.mark.parametrize("template", SECRETIVE)
def test_no_failing_template_tells_a_value_of_the_event(template: str) -> None:
    mapping = compile_mapping({"x": {"@liquid": template}})
    secret = "%zz!" + "secret" * 100
    resolution = mapping.evaluate({"s": secret, "list": [1], "big": 1e308})
    assert not any("secret" in problem.sentence for problem in resolution.problems)


def test_a_compiled_mapping_shares_nothing_with_the_mapping() -> None:
    mapping: JsonObject = {"x": {"list": [{"a": 1}]}}
    compiled: CompiledMapping = compile_mapping(mapping)
    compiled.resolve({})["x"] = None
    payload = compiled.resolve({})
    assert payload == mapping
    assert payload["x"] is not mapping["x"]
