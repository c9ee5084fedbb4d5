"""The answers of Segment's published code, kept as data: one file for each directive.

Each file holds one event and cases of a mapping with the value that the published `transform`
gave for it, or `fails` where it threw: there the mapping does not compile, or does not resolve.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TypedDict, cast

import pytest

from conversion_relay.core.mapping import compile_mapping
from conversion_relay.core.values import JsonObject
from conversion_relay.errors import MappingError

FILES = sorted((Path(__file__).parent / "cases").glob("*.json"))


class Case(TypedDict, total=False):
    """One mapping and the published answer."""

    mapping: JsonObject
    value: JsonObject
    fails: bool


class Cases(TypedDict):
    """One file."""

    event: JsonObject
    cases: list[Case]


def load(file: Path) -> Cases:
    return cast("Cases", json.loads(file.read_text(encoding="utf-8")))


def outcome(mapping: JsonObject, event: JsonObject) -> str:
    try:
        payload = compile_mapping(mapping).resolve(event)
    except MappingError:
        return "fails"
    return written(payload)


def written(payload: JsonObject) -> str:
    """The payload as text in which true is not 1, and 2.0 is 2 as it is in JavaScript."""
    return json.dumps(json.loads(json.dumps(payload), parse_float=number), sort_keys=True)


def number(digits: str) -> float:
    return int(float(digits)) if float(digits).is_integer() else float(digits)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_answer_is_the_published_one(file: Path) -> None:
    loaded = load(file)
    event = copy.deepcopy(loaded["event"])
    for case in loaded["cases"]:
        expected = "fails" if case.get("fails") else written(case["value"])
        assert outcome(case["mapping"], event) == expected, case["mapping"]
    assert event == loaded["event"]


def test_there_is_a_file_for_every_directive() -> None:
    assert {file.stem for file in FILES} >= {
        *("path", "template", "literal", "if", "arrayPath", "case", "replace", "merge"),
        *("transform", "flatten", "json", "excludeWhenNull", "liquid"),
    }
