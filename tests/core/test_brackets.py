"""Ends and depths found on blocks are those found character by character, wherever blocks end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.brackets import end_of_element, is_deeper, search_end

_LONG = "x" * 5_000
_PIECES = st.lists(
    st.sampled_from(['"', "\\", "[", "]", "{", "}", ",", "x", "é", '"a]"', '"\\""', _LONG, "[]"])
).map("".join)


def _slowly(text: str) -> int | None:
    """Where the brackets of a text that begins with one are closed."""
    depth, inside, escaped = 0, False, False
    for position, character in enumerate(text):
        if escaped or character == "\\":
            escaped = not escaped
        elif character == '"':
            inside = not inside
        elif not inside and character in "[]{}":
            depth += 1 if character in "[{" else -1
            if depth == 0:
                return position + 1
    return None


@given(_PIECES)
def test_the_end_is_that_found_character_by_character(text: str) -> None:
    assert end_of_element("[" + text, 0) == _slowly("[" + text)
    found = _slowly("[" + text)
    assert end_of_element("]][" + text, 2) == (None if found is None else found + 2)


@pytest.mark.parametrize("before", range(4_080, 4_100))
@pytest.mark.parametrize(
    "text", ['"\\\\"]', '"\\""]', '"]\\\\\\""]', "]", '"' + _LONG * 30 + '"]']
)
def test_nothing_depends_on_where_a_block_ends(before: int, text: str) -> None:
    text = "[" + " " * before + text
    assert end_of_element(text + ",1]", 0) == len(text)


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 65_537, 140_000])
def test_words_and_strings_end_wherever_a_block_ends(size: int) -> None:
    assert end_of_element('"' + "s" * size + '",', 0) == size + 2
    assert end_of_element('"' + "s" * size, 0) is None
    assert end_of_element("7" * size + ",", 0) == (size or None)
    assert end_of_element('"' + "\\n" * size + '"', 0) == 2 * size + 2


def test_a_long_search_can_be_interrupted() -> None:
    assert len(list(search_end("[" + '["x"' * 10_000, 0))) >= 9


@given(
    st.recursive(
        st.text('[]{}"\\a') | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("[{"), inner),
        max_leaves=12,
    ),
    st.integers(0, 6),
)
def test_depth_is_that_of_the_value(value: object, levels: int) -> None:
    assert is_deeper(json.dumps(value), levels) is (_depth(value) > levels)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
