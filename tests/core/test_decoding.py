"""From text to values: what is accepted, what is mended, what is refused and with which words."""

from __future__ import annotations

import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.core.decoding import (
    Decoded,
    Undecodable,
    Unusable,
    decode,
    elements,
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
    ("text", "reason"),
    [
        ("[1 2]", 'expected "," or "]" at character 4'),
        ("[1,]", "at character 4"),
        ("[1", 'expected "," or "]" at character 3, found the end'),
        ("[", "at character 2"),
        ("[1]]", "expected the end of the text at character 4"),
        ("[,1]", "at character 2"),
        ('[{"a":}]', "at character 7"),
        ('["open', "Unterminated string"),
        ("[1," + "[" * 100_000, "nested too deeply"),
        ("[" + "[" * 1100 + '"' + "]" * 1101, "nested too deeply"),
    ],
)
def test_a_broken_list_ends_with_the_reason(text: str, reason: str) -> None:
    *_, last = elements(text, 10_000)
    assert isinstance(last, Undecodable)
    assert reason in last.reason


def test_where_a_list_is_broken_is_counted_from_its_beginning() -> None:
    *whole, last = elements("[" + "12345," * 100 + "oops]", 10)
    assert len(whole) == 100
    assert last == Undecodable("Expecting value at character 602")


def test_elements_keep_their_own_text() -> None:
    text = ' [ {"a" : "\\u00e9"} ,\n[1, 2],"x" ] '
    assert [one.text for one in _usable(text)] == ['{"a" : "\\u00e9"}', "[1, 2]", '"x"']
    assert first_element(text.encode(), 100) == b'{"a" : "\\u00e9"}'


_DEEP = "[" * 1100 + '"]"' + "]" * 1100


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_DEEP, "nested too deeply"),
        ('{"a": ' + _DEEP + ', "b": "}\\""}', "nested too deeply"),
        ("7" * 5000, "too many digits"),
        ('{"a": [1, -' + "7" * 5000 + "]}", "too many digits"),
        ("NaN", "a number that JSON does not have"),
        ("-Infinity", "a number that JSON does not have"),
        ('{"a": [NaN, {"b": "]"}, "\\\\"]}', "a number that JSON does not have"),
        ('"' + "x" * 9000 + '"', "longer than 8000 characters"),
        ("[" + "[]," * 20_000 + "1]", "longer than 8000 characters"),
        ("7" * 60_000, "longer than 8000 characters"),
    ],
)
@pytest.mark.parametrize("space", ["", " ", "\n\t"])
def test_an_element_without_a_value_costs_no_other(text: str, reason: str, space: str) -> None:
    before, bad, after = elements(f"[1,{space}{text}{space},2]", 8000)
    assert isinstance(bad, Unusable)
    assert bad.text == text
    assert reason in bad.reason
    assert [one.value for one in (before, after) if isinstance(one, Decoded)] == [1, 2]


@pytest.mark.parametrize("depth", range(100, 960, 70))
def test_a_cut_emoji_is_mended_at_any_depth(depth: int) -> None:
    """The value is mended where it stands in the text: nothing walks through it again."""
    (element,) = elements("[" + "[" * depth + '"\\ud83d"' + "]" * depth + "]", 10_000)
    if isinstance(element, Decoded):
        value = element.value
        while isinstance(value, list):
            (value,) = value
        assert value == "\ufffd"
    else:
        assert depth > 480, "the stack was too small for Python's own decoder"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\\ud83d"', r"\ud83d"),
        (r'"\\\ud83d"', "\\\ufffd"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\uD83D\uDE00\udfff\n"', "😀\ufffd\n"),
    ],
)
def test_only_a_surrogate_without_its_half_is_mended(text: str, value: str) -> None:
    decoded = decode(text)
    assert isinstance(decoded, Decoded)
    assert decoded.value == value
    assert decoded.text == text


def test_a_list_is_read_only_as_far_as_it_is_asked_for() -> None:
    """What stands behind was not even looked at: it is no JSON."""
    assert len(list(islice(elements("[" + "1," * 4001 + "oops", 100), 4001))) == 4001


def test_an_empty_list_has_no_elements() -> None:
    assert first_element(b" [ ] ", 100) is None
    assert list(elements("[ ]", 100)) == []


@pytest.mark.parametrize(
    ("body", "first"),
    [
        (b'[{"a":"]\\"}"},1]', b'{"a":"]\\"}"}'),
        (b"\xef\xbb\xbf [ 1 , 2]", b"1"),
        (b"[[],[],1]", b"[]"),
        (b'["\xff\xe2\x82\xac",2]', b'"\xff\xe2\x82\xac"'),
        (b"[" + _DEEP.encode() + b",1]", _DEEP.encode()),
        (b"[" + b"7" * 3000 + b"]", b"7" * 3000),
        (b"[" + b"7" * 3001 + b"]", None),
        (b"[[" + b"[]," * 1_000_000 + b"1]]", None),
        (b"[" + b"[" * 1_000_000, None),
        (b"[" + b" " * 1_000_000 + b"1]", None),
        (b'["open', None),
        (b'[{"a": "open}', None),
        (b"[,1]", None),
        (b"[]]", None),
        (b"[", None),
        (b"{}", None),
        (b"", None),
    ],
)
def test_the_first_element_is_found_without_reading_it(body: bytes, first: bytes | None) -> None:
    assert first_element(body, 3000) == first


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"[1]", True), (b" \n[", True), (b"\xef\xbb\xbf[", True), (b"{}", False)],
)
def test_is_list(body: bytes, *, expected: bool) -> None:
    assert is_list(body) is expected


_TEXT = st.text() | st.text(st.sampled_from('[]{}"\\,: \n'))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=24,
)  # fmt: skip


def _usable(text: str, max_characters: int = 10_000) -> list[Decoded]:
    found = list(elements(text, max_characters))
    assert all(isinstance(one, Decoded) for one in found)
    return [one for one in found if isinstance(one, Decoded)]


@pytest.mark.parametrize("number", ["1.5", "1e5", "1.5E-7", "-12.25e+3", "12345"])
@pytest.mark.parametrize("shift", range(12))
def test_a_number_is_read_whole_wherever_a_page_ends(number: str, shift: int) -> None:
    """Pages are twice as long as the longest element."""
    text = "[" + " " * (2 * 20 + 2 - shift) + number + ", 2]"
    found = [one.value for one in elements(text, 20) if isinstance(one, Decoded)]
    assert found == [json.loads(number), 2]


@given(st.lists(_JSON, max_size=5), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_elements_are_json_with_texts(
    values: list[Json], indent: int | str | None, ensure_ascii: bool
) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ensure_ascii)
    found = _usable(text)
    assert [json.loads(one.text) for one in found] == [one.value for one in found]
    assert len(found) == len(values)
    body = text.encode(errors="surrogatepass")
    first = found[0].text.encode(errors="surrogatepass") if found else None
    assert first_element(body, len(body)) == first


@given(st.lists(_JSON, max_size=8), st.integers(1, 40))
def test_pages_change_nothing_but_what_is_too_long(values: list[Json], longest: int) -> None:
    text = json.dumps(values)
    found = list(elements(text, longest))
    for whole, paged in zip(_usable(text), found, strict=True):
        assert not isinstance(paged, Undecodable)
        assert paged.text == whole.text
        assert isinstance(paged, Decoded) or len(whole.text) > longest


@given(st.text() | st.text(st.sampled_from('[]{}"\\,:1 ')))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    assert isinstance(decode(text), Decoded | Undecodable)
    *earlier, _ = [*elements(f"[{text}", 10), None]
    assert not any(isinstance(one, Undecodable) for one in earlier[:-1])


@given(st.binary() | st.text(st.sampled_from('[]{}"\\,:1 ')).map(str.encode))
def test_the_first_element_of_anything(body: bytes) -> None:
    first = first_element(b"[" + body, 10)
    assert first is None or (0 < len(first) <= 10 and first in body)
