"""The lines of TOML documents, judged by Python's own reader and by how they were written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.service.toml_lines import Place, lines_of

DOCUMENT = dedent(
    '''\
    top = 1
    [sources.web]  # a comment with [brackets] = "and more"
    secrets = ["env:A",  # the first ]
        "env:B",
        ["in", { a = 1, b.c = 2 }],
    ]
    "quoted.key" = 1
    'literal "key"' . inner = 2
    "\\u00fc" = 3
    text = """
    [not.a.table]
    also = "not" \\""" still
    """""
    raw = \'\'\'
    x = 1\'\'\'\'
    when = 1979-05-27 07:32:00
    after = 1979-05-27T07:32:00Z
    [[items]]
    name = "first"
    [items.inner]
    deep = true
    [[items]]
    [[items.list]]
    name = "second"
    [[ items . list ]]
    [later.implicit]
    x = 1
    [later]
    y = { z = [ [1], [2] ] }
    '''
)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), None),
        (("top",), 1),
        (("missing",), None),
        (("sources",), 2),
        (("sources", "web"), 2),
        (("sources", "web", "missing", "below"), 2),
        (("sources", "web", "secrets"), 3),
        (("sources", "web", "secrets", 0), 3),
        (("sources", "web", "secrets", 1), 4),
        (("sources", "web", "secrets", 2, 1, "b", "c"), 5),
        (("sources", "web", "secrets", 9), 3),
        (("sources", "web", "quoted.key"), 7),
        (("sources", "web", 'literal "key"', "inner"), 8),
        (("sources", "web", "ü"), 9),
        (("sources", "web", "text"), 10),
        (("not",), None),
        (("sources", "web", "also"), 2),
        (("sources", "web", "raw"), 14),
        (("sources", "web", "when"), 16),
        (("sources", "web", "after"), 17),
        (("items",), 18),
        (("items", 0), 18),
        (("items", 0, "name"), 19),
        (("items", 0, "inner", "deep"), 21),
        (("items", 1), 22),
        (("items", 1, "list", 0, "name"), 24),
        (("items", 1, "list", 1), 25),
        (("later", "implicit"), 26),
        (("later",), 28),
        (("later", "y", "z", 1, 0), 29),
    ],
)
def test_the_line_of(place: Place, line: int | None) -> None:
    assert lines_of(DOCUMENT).of(place) == line


def test_a_document_that_nests_too_deeply_has_the_lines_before() -> None:
    lines = lines_of(f"a = 1\nb = {'[' * 100_000}")
    assert lines.of(("a",)) == 1
    assert lines.of(("b",)) == 2


KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5) | st.sampled_from(
    ["a", "b", "a.b", 'q"', "#", "[x]", "="]
)
TEXTS = st.text(st.sampled_from("ab'\"\\#[]{}=,\n \té"), max_size=8)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)


def _long(text: str) -> str:
    """As a text over several lines: two quotes may stand at its end."""
    inside = text.replace("\\", "\\\\").replace('"""', '""\\"')
    return f'"""\n{inside}"""'


def _literal(text: str) -> str:
    return f"'{text}'" if "'" not in text and "\n" not in text else _quoted(text)


WRITTEN = (
    st.builds(_quoted, TEXTS)
    | st.builds(_long, TEXTS)
    | st.builds(_literal, TEXTS)
    | st.sampled_from(["1", "-2.5e3", "inf", "true", "1979-05-27 07:32:00", "07:32:00", "[]"])
)


def _inline(pairs: dict[str, str]) -> str:
    return "{ " + ", ".join(f"{_quoted(key)} = {value}" for key, value in pairs.items()) + " }"


def _list(items: list[str]) -> str:
    return "[ # ] comment\n" + "".join(f"  {item}, # , [\n" for item in items) + "]"


VALUES = st.recursive(
    WRITTEN,
    lambda inner: (
        st.builds(_list, st.lists(inner, max_size=3))
        | st.builds(_inline, st.dictionaries(KEYS, inner, max_size=3))
    ),
    max_leaves=6,
)
HEADERS = st.builds(
    lambda keys, form, pairs: (
        form.format(" . ".join(map(_quoted, keys)))
        + "\n"
        + "".join(f"\t{_quoted(key)}= {value} # = [x]\n\n" for key, value in pairs.items())
    ),
    st.lists(KEYS, min_size=1, max_size=3),
    st.sampled_from(["[{}]", "[[{}]]", "\n# [{0}]\n [ {0} ] # c"]),
    st.dictionaries(KEYS, VALUES, max_size=3),
)


@given(st.lists(HEADERS, max_size=6))
def test_every_leaf_has_the_line_on_which_its_key_is_written(parts: list[str]) -> None:
    text = ""
    for part in parts:  # each that the ones before it allow
        try:
            tomllib.loads(text + part)
        except tomllib.TOMLDecodeError:
            continue
        text += part
    written, lines = text.split("\n"), lines_of(text)
    for place in _leaves(tomllib.loads(text), ()):
        line = lines.of(place)
        assert line is not None
        if isinstance(place[-1], str):
            assert _quoted(place[-1]) in written[line - 1]
        assert len(_known(place, text)) == len(place)


def _known(place: Place, text: str) -> Place:
    """The part of the place that the reader knows."""
    found, known = lines_of(text), []
    for key in place:
        if key in found.below:
            found = found.below[key]
            known.append(key)
    return tuple(known)


def _leaves(value: object, place: Place) -> Iterator[Place]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*place, key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*place, number))
    elif place:
        yield place
