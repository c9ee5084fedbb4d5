"""Triggers that are refused: where, and with which words."""

from __future__ import annotations

import pytest

from conversion_relay.core.fql import parse
from conversion_relay.errors import TriggerError

TRACK = 'type = "track"'

# trigger, column of the offending token, words that the message needs
REFUSED: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    # incomplete
    ("", 1, ("the end of the trigger", "a condition")),
    ("  ", 3, ("the end of the trigger", "a condition")),
    ("type", 5, ("the end of the trigger", "= != < <= > >=")),
    ("type = ", 8, ("the end of the trigger", "a value")),
    (f"{TRACK} and", 19, ("the end of the trigger", "a condition")),
    (f"{TRACK} or )", 19, ("`)`", "a condition")),
    ("()", 2, ("`)`", "a condition")),
    ('= "track"', 1, ("`=`", "a condition")),
    ('"track" = type', 1, ('`"track"`', "a condition")),
    ("and", 1, ("`and`", "a condition")),
    (f"{TRACK} and and {TRACK}", 20, ("`and`", "a condition")),
    ("!", 1, ("contains or match",)),
    # too much
    (f"{TRACK} {TRACK}", 16, ("`type`", "and, or, or the end")),
    (f'{TRACK} "x"', 16, ('`"x"`', "and, or, or the end")),
    (f"{TRACK};", 15, ("`;`", "not part of the language")),
    (f"{TRACK} AND {TRACK}", 16, ("`AND`", "write and")),
    (f"{TRACK} Or {TRACK}", 16, ("`Or`", "write or")),
    ("event = 'Bob's order'", 14, ("`s`", "and, or")),
    # parentheses
    (f"({TRACK}", 16, ("the end of the trigger", "`)`", "`(` at column 1")),
    (f"({TRACK} or ({TRACK})", 36, ("the end of the trigger", "`(` at column 1")),
    (f"{TRACK})", 15, ("`)`", "no parenthesis is open")),
    (f"({TRACK} {TRACK})", 17, ("`type`", "`)` for the `(` at column 1")),
    ("(" * 101 + TRACK + ")" * 101, 101, ("100",)),
    ("(" * 5000, 101, ("100",)),
    # operators
    ('event "A"', 7, ('`"A"`', "= != < <= > >=")),
    ('event == "A"', 7, ("`==`", "write =")),
    ('event === "A"', 7, ("`===`", "write =")),
    ('event !== "A"', 7, ("`!==`", "write !=")),
    ('event <> "A"', 7, ("`<>`", "write !=")),
    ("properties.total => 5", 18, ("`=>`", "write >=")),
    ("properties.total =< 5", 18, ("`=<`", "write <=")),
    ('event ! = "A"', 7, ("`!`", "= != < <= > >=")),
    ('event is "A"', 7, ("`is`", "write =")),
    ('event not "A"', 7, ("`not`", "write !=")),
    ('event in ("A", "B")', 7, ("`in`", "or between")),
    ('event contains "A"', 7, ("`contains`", "contains(event, …)")),
    ('event Match "A*"', 7, ("`Match`", "match(event, …)")),
    (f"{TRACK} && {TRACK}", 16, ("`&&`", "write and")),
    (f"{TRACK} || {TRACK}", 16, ("`||`", "write or")),
    # negation
    ('!event = "A"', 1, ("`!`", "contains or match", "!=")),
    (f"!({TRACK})", 1, ("`!`", "contains or match")),
    ('!!contains(event, "A")', 1, ("`!`", "contains or match")),
    ('not contains(event, "A")', 1, ("`not`", "! stands before")),
    # fields
    ('evnt = "A"', 1, ("`evnt`", "did you mean event?")),
    ("userid = 5", 1, ("`userid`", "did you mean userId?")),
    ("propertis.total = 5", 1, ("`propertis.total`", "did you mean properties?")),
    ('foo = "A"', 1, ("`foo`", "type, event, name, userId, properties, traits, context")),
    (f'{TRACK} and foo = "A"', 20, ("`foo`",)),
    ('startsWith(event, "A")', 1, ("`startsWith`", "match(event,")),
    ('Contains(event, "A")', 1, ("`Contains`", "did you mean contains?")),
    ("properties = null", 1, ("`properties`", "needs a key")),
    ("properties.\\[\\] = 1", 1, ("needs a key",)),
    ("properties. = 1", 1, ("`properties.`", "no key behind it")),
    ("properties.a..b = 1", 1, ("`properties.a..b`", "no key behind it")),
    ('event.name = "A"', 1, ("`event.name`", "has no keys", "properties.name")),
    ("properties .a = 1", 12, ("`.`", "without spaces")),
    ("properties.products[0] = 1", 20, ("`[`", "products.0")),
    ("properties.größe = 1", 14, ("`ö`", "needs a \\ in front")),
    ("properties.$value = 1", 12, ("`$`", "needs a \\ in front")),
    ("properties.a\\", 13, ("`\\`", "must follow")),
    # values
    ("event = Order Completed", 15, ("`Completed`", 'in quotes: "Order Completed"')),
    ("event = Order 2", 15, ("`2`", 'in quotes: "Order 2"')),
    ("event = properties.name", 9, ("a value", 'in quotes: "properties.name"')),
    ("event = Order\\ Completed", 9, ("a value", "in quotes")),
    ("event = Order.", 9, ("a value", "in quotes")),
    ("match(event, Order*)", 14, ("a pattern", 'in quotes: "Order*"')),
    ("traits.vip = True", 14, ("`True`", "write true")),
    ("traits.vip = NULL", 14, ("`NULL`", "write null")),
    ("traits.vip = None", 14, ("`None`", "write null")),
    ("traits.vip = undefined", 14, ("`undefined`", "write null")),
    ("event = event", 9, ("`event`", "a value")),
    ("event = (5)", 9, ("`(`", "a value")),
    ("event = !5", 9, ("`!`", "a value")),
    ("event = “A”", 9, ("`“`", "typographic", 'write "')),
    ("event = ‘A’", 9, ("`‘`", "typographic", "write '")),  # noqa: RUF001 - what is tested
    ('event = "A', 9, ('`"A`', "no closing quote")),
    ("event = 'A\"", 9, ("`'A\"`", "no closing quote")),
    ('event = "A”', 9, ('`"A”`', "no closing quote")),
    ("properties.total = 1.2.3", 20, ("`1.2.3`", "no number")),
    ("properties.total = 1e5", 20, ("`1e5`", "no number")),
    ("properties.total = .5", 20, ("`.5`", "no number")),
    ("properties.total = 5.", 20, ("`5.`", "no number")),
    ("properties.total = -", 20, ("`-`", "no number")),
    ("properties.total = --5", 20, ("`--5`", "no number")),
    ("properties.total = 1,5", 21, ("`,`", "and, or, or the end")),
    ("properties.total = 12EUR", 20, ("`12EUR`", "no number")),
    ("properties.total = ٣", 20, ("`٣`", "not part of the language")),
    ("properties.total = " + "9" * 309, 20, ("too long",)),
    ("properties.total = " + "9" * 309 + ".5", 20, ("too long",)),
    ("properties.total = " + "9" * 5000, 20, ("too long",)),
    ("properties.total = " + "0" * 5000 + "1", 20, ("too long",)),
    ("event = " + "9" * 5000, 9, ("too long",)),
    ('properties.total > "' + "9" * 5000 + '"', 20, ("too long",)),
    ('properties.total > "ten"', 20, ('`"ten"`', "a number is expected")),
    ('properties.total > ""', 20, ('`""`', "a number is expected")),
    ("properties.total > true", 20, ("`true`", "a number is expected")),
    ("properties.total > null", 20, ("`null`", "a number is expected")),
    # functions
    ("contains", 9, ("the end of the trigger", "`(`", "contains(event,")),
    ('contains event, "A"', 10, ("`event`", "`(`")),
    ("contains()", 10, ("`)`", "a field")),
    ('contains("A", event)', 10, ('`"A"`', "a field")),
    ("contains(event)", 15, ("`)`", "a comma")),
    ("contains(event,)", 16, ("`)`", "a value")),
    ("contains(event, null)", 17, ("`null`", "text is expected")),
    ('contains(event, "A"', 20, ("the end of the trigger", "`)`")),
    ('contains(event, "A", "B")', 20, ("`,`", "`)`")),
    ('contains(foo, "A")', 10, ("`foo`",)),
    ('contains(event, "A") = true', 22, ("`=`", "and, or, or the end")),
    ('match(event, "A")', 14, ("exactly one end", 'write event = "A"')),
    ('match(event, "A*B")', 14, ("exactly one end", 'write event = "A*B"')),
    ('match(event, "*A*")', 14, ("exactly one end", 'write contains(event, "A")')),
    ("match(properties.a, '*\"*')", 21, ("write contains(properties.a, '\"')",)),
    ('match(event, "")', 14, ("exactly one end",)),
    ("match(event, 5)", 14, ("exactly one end",)),
    # two readings
    (f"{TRACK} and {TRACK} or {TRACK}", 35, ("`or` next to `and` (column 16)", "parentheses")),
    (f"{TRACK} or {TRACK} and {TRACK}", 34, ("`and` next to `or` (column 16)", "parentheses")),
    (f"({TRACK} or {TRACK} and {TRACK})", 35, ("`and` next to `or` (column 17)",)),
    # what cannot be seen
    ("event\u00a0= 1", 6, ("`<U+00A0>`", "not an ordinary space")),
    ("\ufefftype = 1", 1, ("`<U+FEFF>`", "not part of the language")),
    ("type = \x00", 8, ("`<U+0000>`", "not part of the language")),
    # size
    ('event = "' + "x" * 10_000 + '"', 10_001, ("10010 characters", "at most 10000")),
    ("or ".join(['type="a"'] * 909), 9997, ("written out", "10000 characters")),
)


@pytest.mark.parametrize(("text", "column", "words"), REFUSED)
def test_refused_with_column_and_words(text: str, column: int, words: tuple[str, ...]) -> None:
    with pytest.raises(TriggerError) as caught:
        parse(text)
    assert caught.value.text == text
    assert caught.value.column == column
    assert [word for word in words if word not in caught.value.problem] == []
    assert f"(column {column})" in str(caught.value)


def test_the_longest_trigger_is_read() -> None:
    parse('event = "' + "x" * 9990 + '"')
    with pytest.raises(TriggerError):
        parse('event = "' + "x" * 9991 + '"')


def test_the_largest_number_is_read() -> None:
    parse(f"properties.total < 1{'0' * 308}")
    parse(f"properties.total < 1{'0' * 308}.5")
    with pytest.raises(TriggerError):
        parse(f"properties.total < 1{'0' * 309}")


def test_and_next_to_or_is_refused_with_both_readings() -> None:
    with pytest.raises(TriggerError) as caught:
        parse('type = "a" or type = "b" and type = "c" or type = "d" and contains(event, "e")')
    and_first = (
        'type = "a" or (type = "b" and type = "c") or (type = "d" and contains(event, "e"))'
    )
    or_first = '(type = "a" or type = "b") and (type = "c" or type = "d") and contains(event, "e")'
    assert caught.value.problem.endswith(f"comes first: {and_first}, or {or_first}")
    assert parse(and_first) != parse(or_first)


def test_readings_too_long_to_help_are_left_out() -> None:
    with pytest.raises(TriggerError) as caught:
        parse(" or ".join([TRACK] * 200) + f" and {TRACK}")
    assert len(caught.value.problem) < 200
