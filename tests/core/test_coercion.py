"""Coercion of payloads, with fields of an invented action."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from conversion_relay.core.coercion import Checker
from conversion_relay.core.destination import Field, FieldProblem, FieldType

if TYPE_CHECKING:
    from conversion_relay.core.values import Json, JsonObject


def no_x(value: Json) -> str | None:
    return "must not hold an x" if "x" in str(value) else None


ITEM = (
    Field("price", "Price", FieldType.NUMBER),
    Field("sku", "SKU"),
    Field("size", "Size", choices=("S", "M")),
)
ADDRESS = (Field("city", "City"), Field("lines", "Lines", multiple=True))
PARENT = (Field("name", "Name", required=True), Field("age", "Age", FieldType.INTEGER))
FIELDS = (
    Field("name", "Name", required=True, rule=no_x),
    Field("kind", "Kind", choices=("a", "b")),
    Field("text", "Text"),
    Field("mode", "Mode", decisive=True),
    Field("number", "Number", FieldType.NUMBER),
    Field("integer", "Integer", FieldType.INTEGER),
    Field("boolean", "Boolean", FieldType.BOOLEAN),
    Field("texts", "Texts", multiple=True),
    Field("numbers", "Numbers", FieldType.NUMBER, multiple=True),
    Field("items", "Items", FieldType.OBJECT, multiple=True, properties=ITEM),
    Field("address", "Address", FieldType.OBJECT, properties=ADDRESS),
    Field("free", "Free", FieldType.OBJECT),
    Field("parent", "Parent", FieldType.OBJECT, properties=PARENT),
    Field(
        "lead",
        "Lead",
        FieldType.OBJECT,
        required_when=("kind", "b"),
        properties=(Field("id", "Id"),),
    ),
)
CHECKER = Checker(FIELDS)
LARGE = 2**70


def kept(**payload: Json) -> JsonObject:
    """What is kept of a payload in which nothing is wrong."""
    checked = CHECKER.check({"name": "n", **payload})
    assert checked.warnings == ()
    assert checked.rejections == ()
    return {key: value for key, value in checked.payload.items() if key != "name"}


def warned(**payload: Json) -> tuple[JsonObject, list[tuple[str, str]]]:
    checked = CHECKER.check({"name": "n", **payload})
    assert checked.rejections == ()
    rest = {key: value for key, value in checked.payload.items() if key != "name"}
    return rest, [(problem.field, problem.reason) for problem in checked.warnings]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("5", 5),
        (" 5\n", 5),
        ("0x1F", 31),
        ("0b11", 3),
        ("0o17", 15),
        ("1e3", 1000),
        (".5", 0.5),
        ("5.", 5),
        ("+5", 5),
        ("-2.50", -2.5),
        ("-0", 0),
        (True, 1),
        (False, 0),
        ([7], 7),
        (["7"], 7),
        (2.0, 2),
        (27.5, 27.5),
        (2**53 + 1, 2**53 + 1),
        (LARGE, float(LARGE)),
        ("12345678901234567890", 12345678901234567000.0),
    ],
)
def test_what_is_a_number(value: Json, number: float) -> None:
    coerced = kept(number=value)["number"]
    assert coerced == number
    assert type(coerced) is type(number)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("five", "a string"),
        ("   ", "a string"),
        ("Infinity", "a string"),
        ("NaN", "a string"),
        ("1e400", "a string"),
        ("0x" + "f" * 400, "a string"),
        ("-0x1", "a string"),
        ("1_000", "a string"),
        ("1,5", "a string"),
        ("\u0663", "a string"),
        (10**400, "a number"),
        (float("inf"), "a number"),
        (float("nan"), "a number"),
        ([], "a list of 0"),
        ([1, 2], "a list of 2"),
        ({}, "an object"),
        ([[1]], "a list of 1"),
    ],
)
def test_what_is_no_number(value: Json, found: str) -> None:
    assert warned(number=value) == (
        {},
        [("number", f"must be a finite number, it is {found}")],
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (5, "5"),
        (5.0, "5"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (12345678901234567890, "12345678901234567890"),
        (True, "true"),
        (False, "false"),
        (["a"], "a"),
        ([1], "1"),
        ("Grüße", "Grüße"),
        ("cut \ud83d", "cut \ufffd"),
    ],
)
def test_what_is_a_text(value: Json, text: str) -> None:
    assert kept(text=value) == {"text": text}


@pytest.mark.parametrize("value", [{}, {"a": 1}, [], ["a", "b"], [["a"]]])
def test_what_is_no_text(value: Json) -> None:
    rest, [(field, reason)] = warned(text=value)
    assert (rest, field) == ({}, "text")
    assert reason.startswith("must be a string, it is ")


@pytest.mark.parametrize(("value", "whole"), [(5, 5), ("5.0", 5), (5.0, 5), (True, 1), ("0x5", 5)])
def test_what_is_whole(value: Json, whole: int) -> None:
    assert kept(integer=value) == {"integer": whole}


@pytest.mark.parametrize("value", [5.5, "5.5", "Infinity", "x"])
def test_what_is_not_whole(value: Json) -> None:
    assert warned(integer=value)[1][0][1].startswith("must be a whole number")


@pytest.mark.parametrize(
    ("value", "boolean"),
    [
        (True, True),
        ("true", True),
        (1, True),
        (1.0, True),
        ([True], True),
        (False, False),
        ("false", False),
        (0, False),
    ],
)
def test_what_is_a_boolean(value: Json, boolean: bool) -> None:
    assert kept(boolean=value) == {"boolean": boolean}


@pytest.mark.parametrize("value", ["1", "TRUE", "yes", 2, {}, [], [[]]])
def test_what_is_no_boolean(value: Json) -> None:
    assert warned(boolean=value)[1][0][1].startswith("must be true or false")


@pytest.mark.parametrize(
    ("value", "texts"),
    [("a", ["a"]), (1, ["1"]), (["a", None, "", 2], ["a", "2"]), ([["a"]], ["a"])],
)
def test_one_value_becomes_a_list(value: Json, texts: list[Json]) -> None:
    assert kept(texts=value) == {"texts": texts}


def test_an_object_becomes_a_list_of_one() -> None:
    assert kept(items={"price": "1"}) == {"items": [{"price": 1}]}


def test_only_the_bad_items_of_a_list_are_left_out() -> None:
    assert warned(numbers=[1, "x", 3]) == (
        {"numbers": [1, 3]},
        [("numbers.1", "must be a finite number, it is a string")],
    )
    assert warned(items=[{"sku": 1, "price": "dear", "size": "L"}, "x", {"price": 2}]) == (
        {"items": [{"sku": "1"}, {"price": 2}]},
        [
            ("items.0.price", "must be a finite number, it is a string"),
            ("items.0.size", "must be one of: S, M"),
            ("items.1", "must be an object, it is a string"),
        ],
    )


@pytest.mark.parametrize(
    "payload",
    [
        {"text": ""},
        {"text": None},
        {"text": [""]},
        {"text": [None]},
        {"number": ""},
        {"number": [None]},
        {"number": [""]},
        {"texts": []},
        {"texts": ["", None]},
        {"address": {}},
        {"address": {"city": "", "lines": []}},
        {"address": {"city": None, "lines": [""], "unknown": 1}},
        {"items": [None, {}, {"price": None, "sku": ""}, {"price": ""}]},
        {"free": {}},
        {"address": ""},
        {"parent": None},
        {"unknown": 1},
    ],
)
def test_empty_and_unknown_things_go_without_a_word(payload: JsonObject) -> None:
    assert kept(**payload) == {}


def test_an_object_without_declared_properties_is_kept_whole() -> None:
    assert kept(free={"a": [None, ""]}) == {"free": {"a": [None, ""]}}


def test_a_list_of_one_object_is_no_object() -> None:
    assert warned(address=[{"city": "x"}]) == (
        {},
        [("address", "must be an object, it is a list of 1")],
    )


def test_choices_are_checked_after_coercion() -> None:
    assert kept(kind=["a"]) == {"kind": "a"}
    assert warned(kind="c") == ({}, [("kind", "must be one of: a, b")])


@pytest.mark.parametrize("payload", [{}, {"name": None}, {"name": ""}, {"name": [""]}])
def test_a_missing_required_field_rejects(payload: JsonObject) -> None:
    checked = CHECKER.check(payload)
    assert checked.rejections == (FieldProblem("name", "is required, it is missing"),)


@pytest.mark.parametrize(
    ("name", "reason"),
    [({}, "must be a string, it is an object"), ("x", "must not hold an x")],
)
def test_a_required_field_that_is_not_usable_rejects(name: Json, reason: str) -> None:
    checked = CHECKER.check({"name": name, "number": "x"})
    assert checked.rejections == (FieldProblem("name", reason),)
    assert [warning.field for warning in checked.warnings] == ["number"]


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        ({"kind": "a"}, []),
        ({"kind": "b"}, ["lead"]),
        ({"kind": "b", "lead": None}, ["lead"]),
        ({"kind": "b", "lead": "x"}, ["lead"]),
        ({"kind": "b", "lead": {"id": {}}}, ["lead.id"]),
        ({"kind": "b", "lead": {"id": "1"}}, []),
        ({"kind": "b", "lead": {}}, []),
    ],
)
def test_required_when_another_field_says_so(payload: JsonObject, fields: list[str]) -> None:
    checked = CHECKER.check({"name": "n", **payload})
    assert [problem.field for problem in checked.rejections] == fields


def test_a_decisive_field_that_is_not_usable_rejects() -> None:
    checked = CHECKER.check({"name": "n", "mode": {}, "number": "x"})
    assert checked.rejections == (FieldProblem("mode", "must be a string, it is an object"),)
    assert [warning.field for warning in checked.warnings] == ["number"]
    assert kept(mode=None) == {}


def test_an_object_without_its_required_property_is_left_out() -> None:
    assert warned(parent={"age": 3}) == ({}, [("parent.name", "is required, it is missing")])
    assert kept(parent={"name": "p", "age": "3"}) == {"parent": {"name": "p", "age": 3}}


def test_the_input_is_not_changed() -> None:
    payload: JsonObject = {
        "name": ["n"],
        "items": [{"price": "1", "unknown": 1}, None],
        "texts": 1,
        "address": {"city": "", "lines": "a"},
    }
    before = copy.deepcopy(payload)
    CHECKER.check(payload)
    assert payload == before


def test_reasons_never_repeat_the_value() -> None:
    secret = "alice@example.com"
    payload: JsonObject = {field.key: [secret, {"city": secret}] for field in FIELDS}
    payload |= {"name": f"x{secret}", "kind": secret, "number": secret, "items": [secret]}
    checked = CHECKER.check(payload)
    assert checked.rejections
    assert secret not in str(checked.warnings + checked.rejections)
