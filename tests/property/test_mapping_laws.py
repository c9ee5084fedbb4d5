"""Laws of the mapping language, for mappings and events nobody thought of."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import TypeAlias, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay.core.mapping import CompiledMapping, compile_mapping
from conversion_relay.core.mapping.directives import DIRECTIVES
from conversion_relay.core.values import Json, JsonObject
from conversion_relay.errors import MappingError
from core.mapping.interpreter import CannotResolve, interpret

Mappings: TypeAlias = st.SearchStrategy[Json]

KEYS = st.sampled_from(["a", "b", "c", "d", "0", "2", ""])
TEXTS = st.sampled_from(
    ["", " ", "a", "aBa", "Straße", "{{a}}", '{"b":[1,null]}', "a.b", "$&", "😀"]
)
NUMBERS = st.sampled_from([0, 1, -2, 10, 2.5, 1.0, 1e21, 1e-7])
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
JSON_VALUES: Mappings = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.dictionaries(KEYS, JSON_VALUES, max_size=5)
PATHS = st.sampled_from(
    ["$.a", "$.b", "$.a.b", "$.a.b.c", "$.b.0", "a[0].b", "$.c.length", "$.", "d", "$.nope", "a.a"]
)
TEMPLATES = st.sampled_from(["{{a}}", "{{{b}}} {{c}}", "{{a.b}}-{{ d }}", "x", "{{}}", "{{{a}}"])


def options(**members: Mappings) -> st.SearchStrategy[JsonObject]:
    return st.fixed_dictionaries(dict(members))


def directive(name: str, operand: Mappings) -> Mappings:
    return operand.map(lambda value: {name: value})


def extend(inner: Mappings) -> Mappings:
    """One more level of mapping around another."""
    objects: Mappings = st.dictionaries(st.sampled_from(["a", "b", "2"]), inner, max_size=3)
    paths = directive("@path", PATHS)
    texts: Mappings = TEXTS | paths
    return st.one_of(
        objects,
        st.lists(inner, max_size=3),
        directive("@literal", inner),
        directive("@excludeWhenNull", inner),
        directive("@if", options(exists=paths, then=inner)),
        directive("@if", options(exists=paths | objects, then=paths, **{"else": inner})),
        directive("@if", options(blank=paths, then=inner, **{"else": inner})),
        directive("@arrayPath", st.tuples(PATHS | paths, inner).map(list)),
        directive(
            "@case", options(operator=st.sampled_from(["upper", "lower", "x"]), value=texts)
        ),
        directive("@replace", replacements(texts)),
        directive("@merge", options(direction=DIRECTIONS, objects=st.lists(objects, max_size=3))),
        directive("@transform", options(apply=objects, mapping=paths | objects)),
        directive("@flatten", options(separator=st.sampled_from([".", "__"]), value=inner)),
        directive(
            "@flatten", options(separator=st.just("."), value=inner, omitArrays=st.booleans())
        ),
        directive("@json", options(mode=st.sampled_from(["encode", "decode"]), value=inner)),
        directive("@template", paths),
        directive("@path", directive("@template", TEMPLATES)),
    )


DIRECTIONS = st.sampled_from(["left", "right"])


def replacements(values: Mappings) -> Mappings:
    return options(
        pattern=st.sampled_from(["a", "B", ".", "aB"]),
        replacement=st.sampled_from(["", "x", "[$&]", "$$", "$'", "$1"]),
        pattern2=st.sampled_from(["", "x", "]"]),
        ignorecase=st.booleans(),
        value=values,
        **{"global": st.booleans()},
    )


VALUES: Mappings = st.recursive(
    PLAIN | directive("@path", PATHS) | directive("@template", TEMPLATES), extend, max_leaves=6
)
MAPPINGS = st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES, max_size=3)
LIQUID_PIECES = st.lists(
    st.sampled_from(
        [
            *("{{", "}}", "{%", "%}", " a ", "'x'", " b.c ", " [0]", "-", "\n", "\\", "b > "),
            *(" if a ", " endif ", "assign a = a ", "| append: a", "| upcase", "| plus: 1"),
            *("| split: ''", "| times: b", "| date: a", "| slice: b", "| join: a"),
        ]
    ),
    max_size=12,
).map("".join)
ANY_KEY = st.sampled_from(
    [
        *(*DIRECTIVES, "@nope", "a", "_metadata", "__segment_internal_directive"),
        *("exists", "value", "objects", "apply", "mapping", "mode", "direction", "pattern"),
    ]
)
WHATEVER: Mappings = st.recursive(
    PLAIN | directive("@liquid", LIQUID_PIECES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_KEY, inner, max_size=3),
    max_leaves=10,
)


def outcome(answer: Callable[[], object]) -> str:
    """The answer as text in which 1, 1.0 and true stay apart as they do in JSON."""
    try:
        return json.dumps(answer(), sort_keys=True)
    except (CannotResolve, MappingError):
        return "cannot be resolved"


def compiled(mapping: JsonObject) -> CompiledMapping | None:
    try:
        return compile_mapping(mapping)
    except MappingError:
        return None


@settings(max_examples=500, deadline=None)
@given(MAPPINGS, EVENTS)
def test_the_compiler_agrees_with_the_plain_interpreter(
    mapping: JsonObject, event: JsonObject
) -> None:
    ready = compiled(mapping)
    if ready is not None:
        assert outcome(lambda: ready.resolve(event)) == outcome(lambda: interpret(mapping, event))


@settings(max_examples=200, deadline=None)
@given(MAPPINGS, EVENTS)
def test_neither_event_nor_mapping_is_changed(mapping: JsonObject, event: JsonObject) -> None:
    before = copy.deepcopy((mapping, event))
    ready = compiled(mapping)
    if ready is not None:
        ready.evaluate(event)
    assert (mapping, event) == before


@settings(max_examples=200, deadline=None)
@given(MAPPINGS, EVENTS)
def test_every_field_is_resolved_or_reported_on_its_own(
    mapping: JsonObject, event: JsonObject
) -> None:
    ready = compiled(mapping)
    if ready is None:
        return
    resolution = ready.evaluate(event)
    reported = {problem.pointer.removeprefix("/") for problem in resolution.problems}
    alone: JsonObject = {}
    for key, value in mapping.items():
        part = compile_mapping({key: value}).evaluate(event)
        assert bool(part.problems) == (key in reported)
        alone |= part.payload
    assert outcome(lambda: resolution.payload) == outcome(lambda: alone)


@settings(max_examples=500, deadline=None)
@given(WHATEVER.filter(lambda value: isinstance(value, dict)), EVENTS)
def test_whatever_is_given_nothing_but_a_mapping_error_is_raised(
    mapping: Json, event: JsonObject
) -> None:
    ready = compiled(cast("JsonObject", mapping))
    if ready is not None:
        ready.evaluate(event)
