"""JSON values: paths into them, numbers as text, and their names in messages."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from conversion_relay.core.values import (
    MISSING,
    Json,
    JsonObject,
    Path,
    Value,
    follow,
    json_type,
    number_text,
    utf16_length,
)

ROOT: JsonObject = {
    "a": {"b": [10, {"c": None}, "x\U0001f600y"]},
    "zero": 0,
    "no": False,
    "yes": True,
    "nothing": None,
    "empty": "",
    "five": 5,
    "items": [],
    "none": {},
}

WALKS: dict[Path, Value] = {
    ("a", "b", "0"): 10,
    ("a", "b", "1", "c"): None,
    ("a", "b", "1", "c", "d"): None,
    ("a", "b", "2", "length"): 4,
    ("a", "b", "2", "1"): "\U0001f600",
    ("a", "b", "length"): 3,
    ("a", "b", "3"): MISSING,
    ("a", "b", "00"): MISSING,
    ("a", "b", "-1"): MISSING,
    ("a", "b", "9" * 40): MISSING,
    ("a", "b", "\u0661"): MISSING,
    ("missing", "b", "c"): MISSING,
    ("zero", "b"): 0,
    ("no", "b"): False,
    ("yes", "b"): MISSING,
    ("five", "b"): MISSING,
    ("empty", "length"): "",
    ("nothing", "b"): None,
    ("items", "0"): MISSING,
    ("items", "length"): 0,
    ("none", "b"): MISSING,
}


@pytest.mark.parametrize("path", WALKS)
def test_a_path_is_followed_as_javascript_follows_it(path: Path) -> None:
    found = follow(ROOT, path)
    assert (found, type(found)) == (WALKS[path], type(WALKS[path]))


def test_the_root_may_be_any_mapping() -> None:
    assert follow(MappingProxyType(ROOT), ("a", "b", "0")) == 10
    assert follow(MappingProxyType(ROOT), ("nope", "b")) is MISSING


def test_an_empty_path_is_the_value_itself() -> None:
    assert follow(ROOT, ()) is ROOT


NUMBERS: list[tuple[float, str]] = [
    (0, "0"),
    (-0.0, "0"),
    (1.0, "1"),
    (-3.7, "-3.7"),
    (100, "100"),
    (0.1 + 0.2, "0.30000000000000004"),
    (1e21, "1e+21"),
    (1e20, "100000000000000000000"),
    (1.5e300, "1.5e+300"),
    (123456789012345680000.0, "123456789012345680000"),
    (1e-6, "0.000001"),
    (1e-7, "1e-7"),
    (1.25e-9, "1.25e-9"),
    (-1e-7, "-1e-7"),
    (5e-324, "5e-324"),
    (10**30, "1" + "0" * 30),
    (float("inf"), "Infinity"),
    (float("-inf"), "-Infinity"),
    (float("nan"), "NaN"),
]


@pytest.mark.parametrize(("number", "text"), NUMBERS, ids=[text for _, text in NUMBERS])
def test_a_number_is_written_as_javascript_writes_it(number: float, text: str) -> None:
    assert number_text(number) == text


def test_length_counts_an_emoji_as_two() -> None:
    assert [utf16_length(text) for text in ("", "abc", "stra\u00dfe", "\U0001f600")] == [
        0,
        3,
        6,
        2,
    ]


TYPES: list[tuple[Json | Value, str]] = [
    (None, "null"),
    (True, "a boolean"),
    (1, "a number"),
    (1.5, "a number"),
    ("", "an empty string"),
    ("a", "a string"),
    ([], "a list"),
    ({}, "an object"),
    (MISSING, "missing"),
]


@pytest.mark.parametrize(("value", "name"), TYPES, ids=[name for _, name in TYPES])
def test_a_type_has_a_name_for_messages(value: Value, name: str) -> None:
    assert json_type(value) == name


def test_missing_is_false_and_says_what_it_is() -> None:
    assert not MISSING
    assert repr(MISSING) == "MISSING"
