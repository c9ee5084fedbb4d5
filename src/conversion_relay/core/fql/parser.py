"""Text to Condition: one function for each rule of the language.

    chain       = term, { "and", term } | term, { "or", term } ;
    term        = "(", chain, ")" | [ "!" ], call | comparison ;
    call        = ( "contains" | "match" ), "(", field, ",", text, ")" ;
    comparison  = field, ( "=" | "!=" | "<" | "<=" | ">" | ">=" ), operand ;
    operand     = text | word | number | "true" | "false" | "null" ;

A word without quotes is a text, as published, where nothing else can be meant by it.

Whatever does not fit is refused with its column: a trigger that is read half, as Segment's
published parser does, silently matches nothing. Knows nothing of events.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from conversion_relay.core.fql.conditions import (
    Comparison,
    Condition,
    FunctionCall,
    Group,
    Operand,
)
from conversion_relay.core.fql.fields import as_text, fitted, path_of, problem_of
from conversion_relay.core.fql.printer import render
from conversion_relay.core.fql.tokens import Kind, Token, Tokens
from conversion_relay.core.values import Path
from conversion_relay.errors import TriggerError

MAX_CHARACTERS = 10_000
MAX_DEPTH = 100
"""How many parentheses may be open at once."""

FUNCTION_NAMES: Final = ("contains", "match")
CONNECTIVES: Final = ("and", "or")
LITERALS: Final[Mapping[str, Operand]] = {"true": True, "false": False, "null": None}
ORDERINGS: Final = ("<", "<=", ">", ">=")

_EXAMPLES: Final = {"contains": '"Order"', "match": '"Order*"'}
_INSTEAD_OF_OPERATOR: Final = {
    "contains": "write contains(event, …) with the field inside",
    "match": "write match(event, …) with the field inside",
    "equals": "write =",
    "is": "write =",
    "not": "write !=",
    "in": "write one comparison for each value, with or between them",
}
_INSTEAD_OF_LITERAL: Final = {
    **{name: f"write {name} in small letters" for name in LITERALS},
    **dict.fromkeys(("none", "nil", "undefined"), "write null where there is no value"),
}

_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_MAX_NUMBER_CHARACTERS = 400  # more than the longest finite float needs when written out
_LONGEST_READING = 300


def parse(text: str) -> Condition:
    """The condition that the text describes.

    Raises:
        TriggerError: the text is not a trigger, or can be read in two ways; says where and why.
    """
    if len(text) > MAX_CHARACTERS:
        problem = f"the trigger has {len(text)} characters, at most {MAX_CHARACTERS} are read"
        raise TriggerError(text, MAX_CHARACTERS + 1, problem)
    tokens = Tokens(text)
    condition = _chain(tokens, depth=0)
    _expect_after_condition(tokens, Kind.END, "the end of the trigger")
    if len(render(condition)) > MAX_CHARACTERS:  # else what is printed could not be read again
        problem = f"written out, the trigger has more than {MAX_CHARACTERS} characters"
        raise TriggerError(text, len(text) + 1, problem)
    return condition


def _chain(tokens: Tokens, depth: int) -> Condition:
    members = [_term(tokens, depth)]
    words: list[Token] = []
    while tokens.current.text in CONNECTIVES:
        words.append(tokens.take())
        members.append(_term(tokens, depth))
    if not words:
        return members[0]
    _refuse_mixture(tokens, words, members)
    return Group(words[0].text, tuple(members))


def _term(tokens: Tokens, depth: int) -> Condition:
    token = tokens.current
    match token.kind:
        case Kind.OPEN:
            return _parenthesised(tokens, depth + 1)
        case Kind.NOT:
            return _negated(tokens)
        case Kind.WORD if token.text in FUNCTION_NAMES:
            return _call(tokens, negated=False)
        case Kind.WORD if token.text not in CONNECTIVES:
            return _comparison(tokens)
    raise tokens.error(token, 'where a condition such as event = "Order Completed" is expected')


def _parenthesised(tokens: Tokens, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise tokens.error(
            tokens.current, f"inside {MAX_DEPTH} others, at most that many may be open"
        )
    column = tokens.take().column
    condition = _chain(tokens, depth)
    _expect_after_condition(tokens, Kind.CLOSE, f"`)` for the `(` at column {column}")
    return condition


def _expect_after_condition(tokens: Tokens, kind: Kind, expected: str) -> None:
    advice = ""
    if tokens.current.kind is Kind.CLOSE:
        advice = "no parenthesis is open here"
    elif tokens.current.lower in CONNECTIVES:
        advice = f"write {tokens.current.lower} in small letters"
    tokens.expect(kind, f"and, or, or {expected}", advice)


def _negated(tokens: Tokens) -> Condition:
    mark = tokens.take()
    if tokens.current.text not in FUNCTION_NAMES:
        advice = "elsewhere write != instead of =, or turn the condition round"
        raise tokens.error(
            mark, "where it is not allowed: it stands before contains or match", advice
        )
    return _call(tokens, negated=True)


def _call(tokens: Tokens, *, negated: bool) -> Condition:
    name = tokens.take().text
    example = f"{name}(event, {_EXAMPLES[name]})"
    tokens.expect(Kind.OPEN, f"`(`, as in {example},")
    path = _field(tokens)
    tokens.expect(Kind.COMMA, f"a comma, as in {example},")
    text = _argument(tokens, name, path)
    tokens.expect(Kind.CLOSE, f"`)`, as in {example},")
    return FunctionCall(name, path, text, negated)


def _argument(tokens: Tokens, name: str, path: Path) -> str:
    token = tokens.current
    if name == "match" and token.kind is Kind.WORD:  # a word without quotes holds no *
        advice = f"text stands in quotes: {_EXAMPLES[name]}"
        raise tokens.error(token, "where a pattern is expected", advice)
    operand = _operand(tokens)
    if operand is None:
        raise tokens.error(token, "where text is expected", 'text stands in quotes: "null"')
    text = operand if isinstance(operand, str) else as_text(operand)
    if name == "match":
        _check_pattern(tokens, token, text, path)
    return text


def _check_pattern(tokens: Tokens, token: Token, pattern: str, path: Path) -> None:
    """Refuses a pattern whose `*` is not at exactly one end; "*" alone is any text."""
    at_start, at_end = pattern.startswith("*"), pattern.endswith("*")
    if at_start is not at_end or pattern == "*":
        return
    wanted = "where match needs a `*` at exactly one end"
    searched = pattern.strip("*")
    instead: Condition = Comparison(path, "=", pattern)
    if at_start:
        instead = FunctionCall("contains", path, searched, negated=False)
    raise tokens.error(token, wanted, f"write {render(instead)}")


def _comparison(tokens: Tokens) -> Condition:
    path = _field(tokens)
    advice = _INSTEAD_OF_OPERATOR.get(tokens.current.lower, "")
    operator = tokens.expect(Kind.OPERATOR, "one of = != < <= > >=", advice).text
    token = tokens.current
    operand = _operand(tokens)
    if operator in ORDERINGS:
        return Comparison(path, operator, _ordered(tokens, token, operand))
    return Comparison(path, operator, fitted(path[0], operand))


def _field(tokens: Tokens) -> Path:
    token = tokens.expect(Kind.WORD, "a field such as event or properties.category")
    path = path_of(token.text)
    if path is None:
        raise tokens.error(token, "with a dot that has no key behind it")
    problem = problem_of(path, FUNCTION_NAMES)
    if problem:
        raise tokens.error(token, f"which {problem}")
    return path


def _operand(tokens: Tokens) -> Operand:
    token = tokens.current
    match token.kind:
        case Kind.TEXT:
            tokens.take()
            return token.text[1:-1]
        case Kind.NUMBER:
            number = _number(tokens, token, token.text)
            tokens.take()
            return number
        case Kind.WORD if token.text in LITERALS:
            tokens.take()
            return LITERALS[token.text]
        case Kind.WORD if _is_plain(token):
            return _unquoted(tokens)
    advice = f'text stands in quotes: "{token.text}"' if token.kind is Kind.WORD else ""
    advice = _INSTEAD_OF_LITERAL.get(token.lower, advice)
    expected = 'where a value is expected ("text", a number, true, false, null)'
    raise tokens.error(token, expected, advice)


def _is_plain(word: Token) -> bool:
    """Whether the word can only be meant as a text: no other value, no connective, no field."""
    if "\\" in word.text or word.lower in (*_INSTEAD_OF_LITERAL, *LITERALS, *CONNECTIVES):
        return False
    path = path_of(word.text)
    return path is not None and problem_of(path, FUNCTION_NAMES) is not None


def _unquoted(tokens: Tokens) -> str:
    text = tokens.take().text
    following = tokens.current
    if following.kind in (Kind.WORD, Kind.NUMBER) and following.lower not in CONNECTIVES:
        advice = f'text of several words stands in quotes: "{text} {following.text}"'
        raise tokens.error(following, "where and, or, or the end is expected", advice)
    return text


def _number(tokens: Tokens, token: Token, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise tokens.error(
            token, "which is no number", 'write it as in -1.5, or as text in quotes: "…"'
        )
    if len(text) > _MAX_NUMBER_CHARACTERS or not math.isfinite(float(text)):
        raise tokens.error(token, "which is a number too long to be compared")
    return float(text) if "." in text else int(text)


def _ordered(tokens: Tokens, token: Token, operand: Operand) -> float:
    """The number to compare with; as published, a text that is a number counts as one."""
    if isinstance(operand, str) and _NUMBER.fullmatch(operand):
        return _number(tokens, token, operand)
    if isinstance(operand, int | float) and not isinstance(operand, bool):
        return operand
    raise tokens.error(token, "where a number is expected", "< <= > >= compare numbers only")


def _refuse_mixture(tokens: Tokens, words: list[Token], members: list[Condition]) -> None:
    for word in words:
        if word.text != words[0].text:
            readings = [_reading(words, members, first) for first in CONNECTIVES]
            advice = "parentheses must say which comes first"
            if max(map(len, readings)) <= _LONGEST_READING:
                advice += f": {readings[0]}, or {readings[1]}"
            raise tokens.error(
                word, f"next to `{words[0].text}` (column {words[0].column})", advice
            )


def _reading(words: list[Token], members: list[Condition], first: str) -> str:
    """The chain with the `first` word binding closer than the other one, as text."""
    runs: list[list[Condition]] = [[members[0]]]
    for word, member in zip(words, members[1:], strict=True):
        if word.text == first:
            runs[-1].append(member)
        else:
            runs.append([member])
    second = next(word.text for word in words if word.text != first)
    joined = [run[0] if len(run) == 1 else Group(first, tuple(run)) for run in runs]
    return render(Group(second, tuple(joined)))
