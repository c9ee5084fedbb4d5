"""What triggers answer, against what Segment's published code answers.

The answers of the published code (npm, @segment/destination-subscriptions, read 2026-11-21) stand
here as data. Where this project answers otherwise on purpose, the case stands under CORRECTED with
the published answer beside it.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest

from conversion_relay.core.fql import matches, parse
from conversion_relay.core.values import MISSING, Json, Missing, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUES: tuple[Value, ...] = (
    MISSING,
    None,
    "",
    "a",
    "abc",
    "5",
    "true",
    "false",
    "null",
    0,
    5,
    5.0,
    5.5,
    -5,
    True,
    False,
    [],
    ["abc"],
    {},
    {"a": 1},
)

# One mark for each of VALUES: x matches, a point does not.
PUBLISHED = (
    ('properties.v = "5"', ".....x.............."),
    ('properties.v = ""', "..x................."),
    ('properties.v = "true"', "......x............."),
    ('properties.v = "null"', "........x..........."),
    ("properties.v = 5", "..........xx........"),
    ("properties.v = 5.5", "............x......."),
    ("properties.v = -5", ".............x......"),
    ("properties.v = 0", ".........x.........."),
    ("properties.v = true", "..............x....."),
    ("properties.v = false", "...............x...."),
    ("properties.v = null", "xx.................."),
    ('properties.v != "5"', "xxxxx.xxxxxxxxxxxxxx"),
    ('properties.v != ""', "xx.xxxxxxxxxxxxxxxxx"),
    ('properties.v != "true"', "xxxxxx.xxxxxxxxxxxxx"),
    ('properties.v != "null"', "xxxxxxxx.xxxxxxxxxxx"),
    ("properties.v != 5", ".........x..xx......"),
    ("properties.v != 5.5", ".........xxx.x......"),
    ("properties.v != -5", ".........xxxx......."),
    ("properties.v != 0", "..........xxxx......"),
    ("properties.v != null", "..xxxxxxxxxxxxxxxxxx"),
    ("properties.v < 5", ".........x...x......"),
    ("properties.v <= 5", ".........xxx.x......"),
    ("properties.v > 5", "............x......."),
    ("properties.v >= 5", "..........xxx......."),
    ('properties.v < "5"', ".........x...x......"),
    ('properties.v >= "5"', "..........xxx......."),
    ('contains(properties.v, "b")', "....x..............."),
    ('!contains(properties.v, "b")', "..xx.xxxx..........."),
    ('contains(properties.v, "")', "..xxxxxxx..........."),
    ('!contains(properties.v, "")', "...................."),
    ("contains(properties.v, 5)", ".....x.............."),
    ("!contains(properties.v, 5)", "..xxx.xxx..........."),
    ("contains(properties.v, true)", "......x............."),
    ("!contains(properties.v, true)", "..xxxx.xx..........."),
    ('match(properties.v, "a*")', "...xx..............."),
    ('!match(properties.v, "a*")', "..x..xxxx..........."),
    ('match(properties.v, "*c")', "....x..............."),
    ('!match(properties.v, "*c")', "..xx.xxxx..........."),
    ('match(properties.v, "*")', "..xxxxxxx..........."),
    ('!match(properties.v, "*")', "...................."),
    ('type = "5"', ".....x.............."),
    ("type = 5", ".....x.............."),
    ("type = 5.5", "...................."),
    ("type = true", "......x............."),
    ("type = false", ".......x............"),
    ('type != "5"', "xxxxx.xxxxxxxxxxxxxx"),
    ("type != 5", "xxxxx.xxxxxxxxxxxxxx"),
    ("type != 5.5", "xxxxxxxxxxxxxxxxxxxx"),
    ("type != true", "xxxxxx.xxxxxxxxxxxxx"),
    ("type != false", "xxxxxxx.xxxxxxxxxxxx"),
    ("type < 5", ".........x...x......"),
    ("type >= 5", "..........xxx......."),
    ('event = "5"', ".....x.............."),
    ("event = 5", ".....x.............."),
    ("event = 5.5", "...................."),
    ("event = true", "......x............."),
    ("event = false", ".......x............"),
    ('event != "5"', "xxxxx.xxxxxxxxxxxxxx"),
    ("event != 5", "xxxxx.xxxxxxxxxxxxxx"),
    ("event != 5.5", "xxxxxxxxxxxxxxxxxxxx"),
    ("event != true", "xxxxxx.xxxxxxxxxxxxx"),
    ("event != false", "xxxxxxx.xxxxxxxxxxxx"),
    ("event < 5", ".........x...x......"),
    ("event >= 5", "..........xxx......."),
    ('contains(event, "b")', "....x..............."),
    ('!contains(event, "b")', "..xx.xxxx..........."),
    ('match(event, "a*")', "...xx..............."),
    ('!match(event, "*c")', "..xx.xxxx..........."),
    ('name = "5"', ".....x.............."),
    ("name = 5", ".....x.............."),
    ("name = 5.5", "...................."),
    ("name = true", "......x............."),
    ("name = false", ".......x............"),
    ("name = null", "xx.................."),
    ('name != "5"', "xxxxx.xxxxxxxxxxxxxx"),
    ("name != 5", "xxxxx.xxxxxxxxxxxxxx"),
    ("name != 5.5", "xxxxxxxxxxxxxxxxxxxx"),
    ("name != true", "xxxxxx.xxxxxxxxxxxxx"),
    ("name != false", "xxxxxxx.xxxxxxxxxxxx"),
    ("name != null", "..xxxxxxxxxxxxxxxxxx"),
    ("name < 5", ".........x...x......"),
    ("name >= 5", "..........xxx......."),
    ('contains(name, "b")', "....x..............."),
    ('!contains(name, "b")', "..xx.xxxx..........."),
    ('match(name, "a*")', "...xx..............."),
    ('!match(name, "*c")', "..xx.xxxx..........."),
    ('userId = "5"', ".....x.............."),
    ("userId = 5", ".....x.............."),
    ("userId = 5.5", "...................."),
    ("userId = true", "..............x....."),
    ("userId = false", "...............x...."),
    ("userId = null", "xx.................."),
    ('userId != "5"', "xxxxx.xxxxxxxxxxxxxx"),
    ("userId != 5", "xxxxx.xxxxxxxxxxxxxx"),
    ("userId != 5.5", "xxxxxxxxxxxxxxxxxxxx"),
    ("userId != null", "..xxxxxxxxxxxxxxxxxx"),
    ("userId < 5", ".........x...x......"),
    ("userId >= 5", "..........xxx......."),
    ('contains(userId, "b")', "....x..............."),
    ('!contains(userId, "b")', "..xx.xxxx..........."),
    ('match(userId, "a*")', "...xx..............."),
    ('!match(userId, "*c")', "..xx.xxxx..........."),
)

# trigger, what is answered here, what is published
CORRECTED = (
    # null asks for absence in every field; published, `type` and `event` compare the text "null"
    ("event = null", "xx..................", "........x..........."),
    ("event != null", "..xxxxxxxxxxxxxxxxxx", "xxxxxxxx.xxxxxxxxxxx"),
    ("type = null", "xx..................", "........x..........."),
    ("type != null", "..xxxxxxxxxxxxxxxxxx", "xxxxxxxx.xxxxxxxxxxx"),
    # true is not "not true"; published, `!= true` lets the boolean true through
    ("properties.v != true", "xxxxxx.xxxxxxx.xxxxx", "xxxxxx.xxxxxxxxxxxxx"),
    ("properties.v != false", "xxxxxxx.xxxxxxx.xxxx", "xxxxxxx.xxxxxxxxxxxx"),
    ("userId != true", "xxxxxx.xxxxxxx.xxxxx", "xxxxxx.xxxxxxxxxxxxx"),
    ("userId != false", "xxxxxxx.xxxxxxx.xxxx", "xxxxxxx.xxxxxxxxxxxx"),
    # functions search `type` too; published, the call is dropped and the trigger breaks
    ('contains(type, "b")', "....x...............", "...................."),
    ('!contains(type, "b")', "..xx.xxxx...........", "...................."),
    ('match(type, "a*")', "...xx...............", "...................."),
    # single quotes are quotes; published, they belong to the text
    ("properties.v = '5'", ".....x..............", "...................."),
    ("match(properties.v, 'a*')", "...xx...............", "...................."),
)


def event_with(field: str, value: Value) -> dict[str, Json]:
    """An event in which the field has that value."""
    root, _, key = field.partition(".")
    if isinstance(value, Missing):
        return {root: {}} if key else {}
    return {root: {key: value}} if key else {root: value}


def field_of(trigger: str) -> str:
    inner = trigger.partition("(")[2] or trigger
    return inner.replace(",", " ").split()[0]


def answers(trigger: str, field: str) -> str:
    condition = parse(trigger)
    return "".join("x" if matches(condition, event_with(field, v)) else "." for v in VALUES)


@pytest.mark.parametrize(("trigger", "published"), PUBLISHED, ids=[row[0] for row in PUBLISHED])
def test_answers_as_published(trigger: str, published: str) -> None:
    assert answers(trigger, field_of(trigger)) == published


@pytest.mark.parametrize("root", ["traits", "context"])
def test_traits_and_context_answer_as_properties_do(root: str) -> None:
    for trigger, published in PUBLISHED:
        if "properties.v" in trigger:
            renamed = trigger.replace("properties.v", f"{root}.v")
            assert answers(renamed, f"{root}.v") == published


@pytest.mark.parametrize(("trigger", "answer", "published"), CORRECTED)
def test_answers_that_are_corrected(trigger: str, answer: str, published: str) -> None:
    assert answers(trigger, field_of(trigger)) == answer
    assert answer != published


PATHS: tuple[tuple[str, str, bool], ...] = (
    ('properties.a.b = "x"', '{"properties": {"a": {"b": "x"}}}', True),
    ('properties.a\\.b = "x"', '{"properties": {"a": {"b": "x"}}}', True),
    ('properties.a\\.b = "x"', '{"properties": {"a.b": "x"}}', False),
    ('properties\\.a = "x"', '{"properties": {"a": "x"}}', True),
    ('\\properties.a = "x"', '{"properties": {"a": "x"}}', True),
    ('properties.some\\ key = "x"', '{"properties": {"some key": "x"}}', True),
    ('properties.\\é\\"\\\\ = "x"', '{"properties": {"é\\"\\\\": "x"}}', True),
    ('properties.a-b_C9 = "x"', '{"properties": {"a-b_C9": "x"}}', True),
    ('properties.products.\\0.sku = "x"', '{"properties": {"products": [{"sku": "x"}]}}', True),
    ('properties.products\\[0\\].sku = "x"', '{"properties": {"products": [{"sku": "x"}]}}', True),
    ('properties.products.\\1.sku = "x"', '{"properties": {"products": [{"sku": "x"}]}}', False),
    ("properties.products.\\1.sku = null", '{"properties": {"products": [{"sku": "x"}]}}', True),
    ('properties.products.sku = "x"', '{"properties": {"products": [{"sku": "x"}]}}', False),
    ("properties.list.length = 2", '{"properties": {"list": [1, 2]}}', True),
    ("properties.list.length = 0", '{"properties": {"list": []}}', True),
    ("properties.text.length = 3", '{"properties": {"text": "abc"}}', True),
    ('properties.text.\\0 = "a"', '{"properties": {"text": "abc"}}', True),
    ('properties.a.b = ""', '{"properties": {"a": ""}}', True),
    ("properties.a.b = 0", '{"properties": {"a": 0}}', True),
    ("properties.a.b = false", '{"properties": {"a": false}}', True),
    ("properties.a.b = null", '{"properties": {"a": null}}', True),
    ("properties.a.b = null", '{"properties": {}}', True),
    ("properties.a.b = null", '{"properties": {"a": 5}}', True),
    ("properties.a.b = null", '{"properties": {"a": true}}', True),
    ("properties.a = 0", '{"properties": 0}', True),
    ('properties.a = ""', '{"properties": ""}', True),
    ("properties.a = null", '{"properties": null}', True),
    ("properties.a = null", '{"properties": []}', True),
    ("properties.a = null", '{"properties": "abc"}', True),
    ("properties.a.b.c = false", '{"properties": {"a": {"b": false}}}', True),
    ("properties.properties.a = 1", '{"properties": {"properties": {"a": 1}}}', True),
    ("properties.order = 1", '{"properties": {"order": 1}}', True),
    ("properties.android = 1", '{"properties": {"android": 1}}', True),
    ("properties.nullable = 1", '{"properties": {"nullable": 1}}', True),
    ("properties.A = 1", '{"properties": {"a": 1}}', False),
    ("properties.a = null", "{}", True),
    ("properties.a = 1", '{"a": 1}', False),
    ('context.page.url = "u"', '{"context": {"page": {"url": "u"}}}', True),
    ('traits.plan = "u"', '{"traits": {"plan": "u"}}', True),
    ('traits.plan = "u"', '{"context": {"traits": {"plan": "u"}}}', False),
)


@pytest.mark.parametrize(("trigger", "event", "published"), PATHS)
def test_paths_lead_where_the_published_ones_do(
    trigger: str, event: str, published: object
) -> None:
    assert matches(parse(trigger), json.loads(event)) is published


PATHS_THAT_ARE_CORRECTED = (
    # published, a key that begins with a digit or a dash, or is a word of the language, ends the
    # path, and the trigger matches nothing
    ('properties.products.0.sku = "x"', '{"products": [{"sku": "x"}]}', True),
    ("properties.1st = 1", '{"1st": 1}', True),
    ("properties.-x = 1", '{"-x": 1}', True),
    ("properties.or = 1", '{"or": 1}', True),
    ("properties.and.null = 1", '{"and": {"null": 1}}', True),
    # published, what JavaScript gives to every value counts as if the event had it
    ("properties.constructor = null", "{}", True),
    ("properties.toString != null", "{}", False),
    ("properties.total.toFixed != null", '{"total": 5}', False),
    # published, whole numbers beyond 2**53 are rounded before they are compared
    ("properties.id = 9007199254740993", '{"id": 9007199254740992}', False),
    ("properties.id = 9007199254740993", '{"id": 9007199254740993}', True),
)


@pytest.mark.parametrize(("trigger", "properties", "answer"), PATHS_THAT_ARE_CORRECTED)
def test_paths_that_are_corrected(trigger: str, properties: str, answer: object) -> None:
    assert matches(parse(trigger), {"properties": json.loads(properties)}) is answer


# trigger, what is answered here for each of EVENTS, what is published ("...." also if refused)
GROUPS = (
    ('type = "track" and event = "A"', "x...", "x..."),
    ('type = "track" or event = "A"', "xxx.", "xxx."),
    ('type = "track" and (event = "A" or event = "B")', "xx..", "xx.."),
    ('type = "page" or (type = "track" and event = "A")', "x..x", "x..x"),
    ('(event = "A" or event = "B") and (type = "track" or type = "x")', "xx..", "xx.."),
    ('event = "B" or (type = "page" or (type = "track" and (event = "A")))', "xx.x", "...."),
    ('((event = "A" or ((event = "B"))) and type = "track")', "xx..", "...."),
    ('type = "track" and (contains(event, "A") or match(event, "B*"))', "xx..", "xxx."),
    ('event = "A"or(type="page")', "x.xx", "x.x."),
)
EVENTS: tuple[Mapping[str, Json], ...] = (
    {"type": "track", "event": "A"},
    {"type": "track", "event": "B"},
    {"type": "identify", "event": "A"},
    {"type": "page"},
)


@pytest.mark.parametrize(("trigger", "answer", "_published"), GROUPS)
def test_groups_are_read_as_they_are_written(trigger: str, answer: str, _published: str) -> None:
    condition = parse(trigger)
    assert "".join("x" if matches(condition, event) else "." for event in EVENTS) == answer


def test_an_event_may_be_any_mapping() -> None:
    event: Mapping[str, Json] = MappingProxyType({"type": "track", "properties": {"total": 5}})
    assert matches(parse('type = "track" and properties.total = 5'), event)
    assert matches(parse("userId = null"), event)


def test_a_number_is_compared_as_text_with_the_names_of_an_event() -> None:
    assert matches(parse("event = 5.50"), {"event": "5.5"})
    assert matches(parse("userId != 007"), {"userId": "007"})
    assert not matches(parse("userId = 7"), {"userId": 7})
