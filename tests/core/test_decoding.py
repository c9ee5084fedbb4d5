"""From text to values: what is accepted, what is mended, what is refused and with which words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.decoding import (
    Decoded,
    Undecodable,
    decode,
    decode_list,
    first_element,
    is_list,
)
from conversion_relay.core.values import Json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("\ufeff {}  \n", {}),
        ("12345678901234567890123", 12345678901234567890123),
        ('"caf\\u00e9"', "café"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"cut \\ud83d"', "cut \ufffd"),
        ('{"\\udc00": ["\\ud83d", 1]}', {"\ufffd": ["\ufffd", 1]}),
        ('{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_decodes(text: str, value: Json) -> None:
    decoded = decode(text)
    assert isinstance(decoded, Decoded)
    assert decoded.value == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "at character 2"),
        ("{} {}", "expected the end of the text at character 4, found more text"),
        ("NaN", "a number that JSON does not have"),
        ('{"a": -Infinity}', "a number that JSON does not have"),
        ("[" * 100_000, "nested too deeply"),
        ("1" * 5000, "too many digits"),
        ('"a\nb"', "control character"),
    ],
)
def test_refuses_with_a_reason(text: str, reason: str) -> None:
    decoded = decode(text)
    assert isinstance(decoded, Undecodable)
    assert reason in decoded.reason


def test_a_reason_never_repeats_the_text() -> None:
    decoded = decode('{"email": "lena@example.com" oops}')
    assert isinstance(decoded, Undecodable)
    assert "lena" not in decoded.reason
    assert "oops" not in decoded.reason


@pytest.mark.parametrize(
    "text",
    ["[1 2]", "[1,]", "[1", "[", "[1]]", "[,1]", '[{"a":}]', "[" + "[" * 100_000],
)
def test_a_broken_list_is_refused(text: str) -> None:
    assert isinstance(decode_list(text), Undecodable)


def test_elements_keep_their_own_text() -> None:
    text = ' [ {"a" : "\\u00e9"} ,\n[1, 2],"x" ] '
    elements = decode_list(text)
    assert isinstance(elements, list)
    assert [one.text for one in elements] == ['{"a" : "\\u00e9"}', "[1, 2]", '"x"']
    first = first_element(text)
    assert isinstance(first, Decoded)
    assert first.text == elements[0].text


def test_an_empty_list_has_no_first_element() -> None:
    assert first_element(" [ ] ") is None
    assert decode_list("[ ]") == []


@pytest.mark.parametrize(("text", "expected"), [("[1]", True), (" \n[", True), ("{}", False)])
def test_is_list(text: str, *, expected: bool) -> None:
    assert is_list(text) is expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(_JSON, max_size=5), st.sampled_from([None, 1, "\t"]))
def test_decode_list_is_json_with_texts(values: list[Json], indent: int | str | None) -> None:
    text = json.dumps(values, indent=indent)
    elements = decode_list(text)
    assert isinstance(elements, list)
    assert [json.loads(one.text) for one in elements] == [one.value for one in elements]
    assert len(elements) == len(values)


@given(st.text())
def test_any_text_is_decoded_or_refused(text: str) -> None:
    assert isinstance(decode(text), Decoded | Undecodable)
    assert isinstance(decode_list(f"[{text}"), list | Undecodable)
