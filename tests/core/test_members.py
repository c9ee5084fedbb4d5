"""The members of an object: each value's own text, and why one cannot be taken apart."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.decoding import Undecodable, members


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", {}),
        ("\ufeff { } ", {}),
        ('{"a":1}', {"a": "1"}),
        ('{ "a" : [1, {"b": "]}"}] , "c":"x" }', {"a": '[1, {"b": "]}"}]', "c": '"x"'}),
        ('{"a": 1, "a": 2}', {"a": "2"}),
        ('{"b\\u0061tch": []}', {"batch": "[]"}),
        ('{"a": "\\"}"}', {"a": '"\\"}"'}),
        ('{"a": 123456789012345678901234567890}', {"a": "123456789012345678901234567890"}),
        ('{"a": NaN, "b": [Infinity]}', {"a": "NaN", "b": "[Infinity]"}),
        ('{"a": ' + "[" * 5000 + "]" * 5000 + "}", {"a": "[" * 5000 + "]" * 5000}),
        ('{"a": "\udcff"}', {"a": '"\udcff"'}),
    ],
)
def test_each_value_stands_as_it_was_written(text: str, found: dict[str, str]) -> None:
    assert members(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected an object at character 1, found the end of the text"),
        ("[]", "expected an object at character 1"),
        ("{", "expected a key at character 2, found the end of the text"),
        ("{1: 2}", "expected a key at character 2"),
        ('{"a" 1}', 'expected ":" at character 6'),
        ('{"a": }', "expected a value that ends at character 7"),
        ('{"a": [1}', 'expected "," or "}" at character 10'),
        ('{"a": "x', "expected a value that ends at character 7"),
        ('{"a": [', "expected a value that ends at character 7"),
        ('{"a": 1,}', "expected a key at character 9"),
        ('{"a": 1 "b": 2}', 'expected "," or "}" at character 9'),
        ('{"a": 1} x', "expected the end of the text at character 10"),
        ('{"a\n": 1}', "control character"),
        ("{" + ",".join(f'"{n}":1' for n in range(1025)) + "}", "more than 1024 members"),
    ],
)
def test_what_cannot_be_taken_apart(text: str, reason: str) -> None:
    found = members(text)
    assert isinstance(found, Undecodable)
    assert reason.lower() in found.reason.lower()


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.text(), _VALUES, max_size=6), st.sampled_from([None, 2]))
def test_they_say_what_a_decoder_says(value: dict[str, object], indent: int | None) -> None:
    found = members(json.dumps(value, indent=indent))
    assert isinstance(found, dict)
    assert {key: json.loads(text) for key, text in found.items()} == value


@given(st.text(alphabet='{}[]":,\\ a1\n', max_size=40))
def test_nothing_is_a_fault(text: str) -> None:
    found = members(text)
    try:
        value = json.loads(text)
    except ValueError:
        return
    assert isinstance(found, dict) == isinstance(value, dict)
