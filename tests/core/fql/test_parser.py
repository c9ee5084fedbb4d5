"""What a trigger's text means, as a Condition."""

from __future__ import annotations

import pytest

from conversion_relay.core.fql import Comparison, Condition, FunctionCall, Group, parse

EVENT = ("event",)
TRACK = Comparison(("type",), "=", "track")
ORDER = Comparison(EVENT, "=", "Order Completed")
PAGE = Comparison(("type",), "=", "page")

PARSED: tuple[tuple[str, Condition], ...] = (
    ('type = "track"', TRACK),
    ("type='track'", TRACK),
    (' \t\r\n type\n=\t"track" ', TRACK),
    ('((type = "track"))', TRACK),
    ('event!="A"', Comparison(EVENT, "!=", "A")),
    ("properties.total>=5", Comparison(("properties", "total"), ">=", 5)),
    ("properties.total<-0.50", Comparison(("properties", "total"), "<", -0.5)),
    ("properties.total = +5", Comparison(("properties", "total"), "=", 5)),
    ("properties.total = 5.0", Comparison(("properties", "total"), "=", 5.0)),
    ("properties.total = 007", Comparison(("properties", "total"), "=", 7)),
    ('properties.total > "9"', Comparison(("properties", "total"), ">", 9)),
    ("traits.vip = true", Comparison(("traits", "vip"), "=", operand=True)),
    ("context.app != false", Comparison(("context", "app"), "!=", operand=False)),
    ("userId = null", Comparison(("userId",), "=", None)),
    ("userId = true", Comparison(("userId",), "=", operand=True)),
    ("event = true", Comparison(EVENT, "=", "true")),
    ("name != 5.50", Comparison(("name",), "!=", "5.5")),
    ("event < 5", Comparison(EVENT, "<", 5)),
    ('event = ""', Comparison(EVENT, "=", "")),
    ("type = track", TRACK),
    ("type=track", TRACK),
    ("event != Order-2.b_c", Comparison(EVENT, "!=", "Order-2.b_c")),
    ("(type = track or type = page)", Group("or", (TRACK, PAGE))),
    ("contains(event, Order)", FunctionCall("contains", EVENT, "Order", negated=False)),
    ("event = 'say \"hi\"'", Comparison(EVENT, "=", 'say "hi"')),
    ('event = "it\'s"', Comparison(EVENT, "=", "it's")),
    ('event = "and (or) \\"', Comparison(EVENT, "=", "and (or) \\")),
    ('event = "two\nlines 😀"', Comparison(EVENT, "=", "two\nlines 😀")),
    ("properties.a.b.c = 1", Comparison(("properties", "a", "b", "c"), "=", 1)),
    ("properties.a\\ b = 1", Comparison(("properties", "a b"), "=", 1)),
    ("properties.a\\.b = 1", Comparison(("properties", "a", "b"), "=", 1)),
    ("properties.a\\[0\\].b = 1", Comparison(("properties", "a", "0", "b"), "=", 1)),
    ("properties.\\\\\\= = 1", Comparison(("properties", "\\="), "=", 1)),
    ("properties.a\\\nb = 1", Comparison(("properties", "a\nb"), "=", 1)),
    ("\\properties.a = 1", Comparison(("properties", "a"), "=", 1)),
    ('contains(event, "A")', FunctionCall("contains", EVENT, "A", negated=False)),
    ('! contains ( event , "A" )', FunctionCall("contains", EVENT, "A", negated=True)),
    ("contains(event, 5.0)", FunctionCall("contains", EVENT, "5", negated=False)),
    ("contains(event, true)", FunctionCall("contains", EVENT, "true", negated=False)),
    ('match(event, "A*")', FunctionCall("match", EVENT, "A*", negated=False)),
    ('!match(event, "*A")', FunctionCall("match", EVENT, "*A", negated=True)),
    ('match(event, "*")', FunctionCall("match", EVENT, "*", negated=False)),
    ('match(event, "A*B*")', FunctionCall("match", EVENT, "A*B*", negated=False)),
    ('type = "track"and event = "Order Completed"', Group("and", (TRACK, ORDER))),
    ('type = "track" or type = "page" or type = "track"', Group("or", (TRACK, PAGE, TRACK))),
    (
        '(type = "page" or (type = "track" and event = "Order Completed"))',
        Group("or", (PAGE, Group("and", (TRACK, ORDER)))),
    ),
    (
        '(type = "page" or type = "track") and (event = "Order Completed")',
        Group("and", (Group("or", (PAGE, TRACK)), ORDER)),
    ),
    (
        '(type = "page" or type = "track") or type = "page"',
        Group("or", (Group("or", (PAGE, TRACK)), PAGE)),
    ),
)


@pytest.mark.parametrize(("text", "condition"), PARSED)
def test_parse(text: str, condition: Condition) -> None:
    # repr too, because 5 == 5.0 and 1 == True
    assert parse(text) == condition
    assert repr(parse(text)) == repr(condition)


def test_a_hundred_parentheses_may_be_open() -> None:
    assert parse("(" * 100 + 'type = "track"' + ")" * 100) == TRACK


def test_a_long_chain_is_read() -> None:
    condition = parse(" or ".join(['type = "track"'] * 500))
    assert condition == Group("or", (TRACK,) * 500)
