"""Laws of the trigger language, for any condition, any text and any event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversion_relay.core.fql import (
    Comparison,
    Condition,
    FunctionCall,
    Group,
    matches,
    parse,
    render,
)
from conversion_relay.errors import TriggerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from conversion_relay.core.values import Json, JsonObject, Path

law = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])

NAMES = ("type", "event", "name", "userId")
OBJECTS = ("properties", "traits", "context")
# Few keys and texts, so that events often have what conditions ask for; and some of any kind.
KEYS = st.sampled_from(["a", "b", "0", "length", "-x", "and", "null", "true", "some key"])
ODD_KEYS = st.text(min_size=1, max_size=5).filter(lambda key: not set(key) & set(".[]"))
TEXTS = st.sampled_from(["", "a", "ab", "5", "true", "null", "it's", "*", 'say "a"', "\\", "\n"])
ODD_TEXTS = st.text(max_size=8).filter(lambda text: '"' not in text or "'" not in text)
NUMBERS = st.integers(-6, 6) | st.sampled_from([5.0, 5.5, -0.0, 5e-324, 1.7e308, 10**308, 1e22])

keys = KEYS | ODD_KEYS
texts = TEXTS | ODD_TEXTS
numbers = NUMBERS | st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, width=64)
finite_numbers = numbers.filter(lambda number: abs(number) < 1.7e308)


def joined(root: str, keys: list[str]) -> Path:
    return (root, *keys)


def as_group(word: str, members: list[Condition]) -> Condition:
    return Group(word, tuple(members))


paths_with_keys = st.builds(
    joined, st.sampled_from(OBJECTS), st.lists(keys, min_size=1, max_size=3)
)
paths = st.sampled_from(NAMES).map(lambda name: (name,)) | paths_with_keys
patterns = texts.map(lambda text: text.strip("*")).flatmap(
    lambda text: st.sampled_from([f"{text}*", f"*{text}"])
)

comparisons: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Comparison, paths, st.sampled_from(["=", "!="]), st.none() | texts),
    st.builds(
        Comparison, paths_with_keys, st.sampled_from(["=", "!="]), st.booleans() | finite_numbers
    ),
    st.builds(Comparison, st.just(("userId",)), st.sampled_from(["=", "!="]), st.booleans()),
    st.builds(Comparison, paths, st.sampled_from(["<", "<=", ">", ">="]), finite_numbers),
)
calls: st.SearchStrategy[Condition] = st.one_of(
    st.builds(FunctionCall, st.just("contains"), paths, texts, st.booleans()),
    st.builds(FunctionCall, st.just("match"), paths, patterns, st.booleans()),
)
simple = comparisons | calls
conditions: st.SearchStrategy[Condition] = st.recursive(
    simple,
    lambda inner: st.builds(
        as_group, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4)
    ),
    max_leaves=12,
)

json_values: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | NUMBERS | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
events: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.sampled_from([*NAMES, *OBJECTS]), json_values, max_size=7
)

# Text made of pieces of the language gets further into the parser than text of any kind.
PIECES = (
    *("type", "event", "properties.a", "traits.some\\ key", "context.0", "userId", "evnt"),
    *("=", "!=", "<", ">=", "==", "!", "(", ")", ",", "contains", "match", "and", "or", "AND"),
    *('"A"', "'B*'", '"*C*"', '"', "'", "“", "5", "-1.5", "1e5", "9" * 400, "true", "null"),
    *(" ", "\n", "\u00a0", ".", "\\", "[", "é", "properties.", "contains(event,", '= "A" and '),
)
any_text = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join)
glued_text = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@law
@given(conditions)
def test_what_is_printed_parses_to_the_same_condition(condition: Condition) -> None:
    text = render(condition)
    # repr too, because 5 == 5.0 and 1 == True
    assert repr(parse(text)) == repr(condition)
    assert render(parse(text)) == text


def outcome(text: str) -> Condition | TriggerError:
    """What parse gives or raises; nothing else may come out of it."""
    try:
        return parse(text)
    except TriggerError as error:
        return error


def assert_condition_or_refused(text: str) -> None:
    found = outcome(text)
    if isinstance(found, TriggerError):
        assert found.text == text
        assert 1 <= found.column <= len(text) + 1
        assert found.problem
        assert str(found)
    else:
        assert repr(parse(render(found))) == repr(found)


@law
@given(any_text | glued_text)
def test_any_text_is_a_condition_or_refused_with_a_column_inside_it(text: str) -> None:
    assert_condition_or_refused(text)


@law
@given(conditions, st.data())
def test_a_trigger_with_a_piece_changed_is_a_condition_or_refused(
    condition: Condition, data: st.DataObject
) -> None:
    text = render(condition)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 6)))
    assert_condition_or_refused(
        text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[end:]
    )


@pytest.mark.parametrize("piece", [*PIECES, "properties.a.", 'type = "a" and ', "!(", "\\a", "-"])
def test_long_texts_of_one_piece_are_a_condition_or_refused(piece: str) -> None:
    text = piece * 10_000
    for beginning in ("", 'type = "a" and ', "event = ", "properties.", 'event = "'):
        assert_condition_or_refused(f"{beginning}{text}"[:10_000])
    assert isinstance(outcome(text[:10_001]), TriggerError)


@law
@given(conditions, events)
def test_matching_answers_for_every_event_and_changes_nothing(
    condition: Condition, event: JsonObject
) -> None:
    before = json.dumps(event), repr(condition)
    assert matches(condition, event) in {True, False}
    assert type(matches(condition, event)) is bool
    assert (json.dumps(event), repr(condition)) == before


@law
@given(st.lists(simple, min_size=2, max_size=4), events)
def test_groups_are_all_and_any(members: list[Condition], event: JsonObject) -> None:
    answers = [matches(member, event) for member in members]
    assert matches(as_group("and", members), event) is all(answers)
    assert matches(as_group("or", members), event) is any(answers)


@law
@given(paths, texts | st.none(), events)
def test_equal_and_different_exclude_each_other(
    path: Path, operand: str | None, event: JsonObject
) -> None:
    equal = matches(Comparison(path, "=", operand), event)
    assert matches(Comparison(path, "!=", operand), event) is not equal


@law
@given(paths, finite_numbers, events)
def test_exactly_one_ordering_holds_for_a_number_and_none_for_anything_else(
    path: Path, number: float, event: JsonObject
) -> None:
    def holds(operator: str) -> bool:
        return matches(Comparison(path, operator, number), event)

    is_number = holds("=") or holds("!=")
    assert [holds("<"), holds("="), holds(">")].count(True) == int(is_number)
    assert holds("<=") is (holds("<") or holds("="))
    assert holds(">=") is (holds(">") or holds("="))


SEARCHES: tuple[Callable[[str], tuple[str, str]], ...] = (
    lambda text: ("contains", text),
    lambda text: ("match", f"{text}*"),
    lambda text: ("match", f"*{text}"),
)


@law
@given(paths, texts, st.sampled_from(SEARCHES), events)
def test_a_call_or_its_negation_holds_for_text_and_neither_for_anything_else(
    path: Path, text: str, search: Callable[[str], tuple[str, str]], event: JsonObject
) -> None:
    name, argument = search(text)
    plain = matches(FunctionCall(name, path, argument, negated=False), event)
    negated = matches(FunctionCall(name, path, argument, negated=True), event)
    is_text = matches(FunctionCall("match", path, "*", negated=False), event)
    assert (plain or negated) is is_text
    assert not (plain and negated)


@law
@given(texts, texts, texts)
def test_a_text_is_found_where_it_stands(before: str, text: str, after: str) -> None:
    def holds(name: str, argument: str) -> bool:
        event: JsonObject = {"event": before + text + after}
        return matches(FunctionCall(name, ("event",), argument, negated=False), event)

    assert holds("contains", text)
    assert holds("match", f"{before}{text}*")
    assert holds("match", f"*{text}{after}") or f"{text}{after}".endswith("*")
