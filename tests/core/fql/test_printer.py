"""How conditions are written down."""

from __future__ import annotations

import math

import pytest

from conversion_relay.core.fql import Comparison, Condition, FunctionCall, Group, parse, render

# as it may be written, as it is printed
PRINTED = (
    ("type='track'", 'type = "track"'),
    ("((event = 'A'))", 'event = "A"'),
    ("event = 'say \"hi\"'", "event = 'say \"hi\"'"),
    ('event = "it\'s"', 'event = "it\'s"'),
    ("event = 5", 'event = "5"'),
    ("properties.total>=+5", "properties.total >= 5"),
    ("properties.total = 5.0", "properties.total = 5.0"),
    ("properties.total = -0.00000001", "properties.total = -0.00000001"),
    (
        "properties.total = 10000000000000000000000.0",
        "properties.total = 10000000000000000000000.0",
    ),
    ("properties.vip=true", "properties.vip = true"),
    ("properties.vip!=null", "properties.vip != null"),
    ("! contains( event,'A' )", '!contains(event, "A")'),
    ('match(event, "*A")', 'match(event, "*A")'),
    ("properties.some\\ key = false", "properties.some\\ key = false"),
    ("properties.\\é\\\\=1", "properties.\\é\\\\ = 1"),
    ("properties.a\\[0\\].-x = 1", "properties.a.\\0.\\-x = 1"),
    ("properties.or.order = 1", "properties.\\or.order = 1"),
    (
        'type="a"or(type="b"and(type="c"or name="d"))',
        'type = "a" or (type = "b" and (type = "c" or name = "d"))',
    ),
    ('((type="a"and type="b")and name="c")', '(type = "a" and type = "b") and name = "c"'),
)


@pytest.mark.parametrize(("written", "printed"), PRINTED)
def test_printed_in_one_form(written: str, printed: str) -> None:
    assert render(parse(written)) == printed


@pytest.mark.parametrize("written", [row[0] for row in PRINTED])
def test_what_is_printed_means_the_same(written: str) -> None:
    condition = parse(written)
    assert repr(parse(render(condition))) == repr(condition)


UNPRINTABLE: tuple[Condition, ...] = (
    Comparison(("event",), "=", "both ' and \""),
    Group("and", (FunctionCall("contains", ("event",), "\"'", negated=False),) * 2),
    Comparison(("properties", "total"), "<", math.inf),
)


@pytest.mark.parametrize("condition", UNPRINTABLE)
def test_what_no_text_can_express_is_refused(condition: Condition) -> None:
    with pytest.raises(ValueError, match=r"written|write"):
        render(condition)
