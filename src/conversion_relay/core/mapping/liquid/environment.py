"""The template engine, set up to answer as liquidjs does inside Segment's mapping kit.

Templates read nothing but their event: no loader, no clock, no other templates. Knows tags,
strings and output; variables and filters have modules of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Final, TextIO, cast

from liquid import BoundTemplate, Environment, RenderContext, Tag, Token, TokenStream
from liquid.ast import Node
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.cycle_tag import CycleNode, CycleTag
from liquid.builtin.tags.echo_tag import EchoTag
from liquid.builtin.tags.if_tag import IfNode, IfTag
from liquid.builtin.tags.unless_tag import UnlessNode, UnlessTag
from liquid.exceptions import LiquidSyntaxError
from liquid.expression import Expression
from liquid.token import TOKEN_EXPRESSION
from typing_extensions import override

from conversion_relay.core.mapping.liquid.conditions import adopt
from conversion_relay.core.mapping.liquid.context import EventContext
from conversion_relay.core.mapping.liquid.words import as_value, liquid_text
from conversion_relay.core.values import JsonObject

DISABLED_TAGS: Final = ("case", "for", "include", "layout", "render", "tablerow")
_UNKNOWN_TO_LIQUIDJS: Final = ("doc", "ifchanged")
_ONLY_IN_LOOPS: Final = ("break", "continue")

_STRING = re.compile(r"""(["'])((?:\\.|(?!\1)[^\\])*)\1""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{1,4})|([0-7]{1,3})|(.))", re.DOTALL)
_NAMED_ESCAPES: Final[Mapping[str, str]] = dict(zip("bfnrtv", "\b\f\n\r\t\v", strict=True))


def render(template: BoundTemplate, event: JsonObject) -> str:
    """The text the template makes of the event.

    Raises:
        LiquidError: when it cannot be rendered.
    """
    written = StringIO()
    template.render_with_context(EventContext(template, event), written)
    return written.getvalue()


class PrintedNode(OutputNode):
    """`{{ … }}`, printed as liquidjs prints."""

    @override
    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(_printed(self.expression, context))


class Printed(Expression):
    """An expression whose value is what would be printed for it."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        super().__init__(expression.token)
        self.expression = expression

    @override
    def evaluate(self, context: RenderContext) -> str:
        return _printed(self.expression, context)

    @override
    def children(self) -> tuple[Expression, ...]:
        return (self.expression,)


def _printed(expression: Expression, context: RenderContext) -> str:
    value = as_value(expression.evaluate(context))
    cast("EventContext", context).budget.spend_on(value)
    return liquid_text(value)


class PrintedOutput(Output):
    """The output statement."""

    node_class = PrintedNode


class PrintedEcho(EchoTag):
    """The tag `echo`."""

    node_class = PrintedNode  # type: ignore[assignment]


class ConvertingIf(IfTag):
    """The tag `if`, with comparisons that convert."""

    @override
    def parse(self, stream: TokenStream) -> Node:
        return _adopting(super().parse(stream))


class ConvertingUnless(UnlessTag):
    """The tag `unless`, with comparisons that convert."""

    @override
    def parse(self, stream: TokenStream) -> Node:
        return _adopting(super().parse(stream))


def _adopting(node: Node) -> Node:
    if isinstance(node, IfNode | UnlessNode):
        adopt(node.condition)
        for alternative in node.alternatives:
            adopt(alternative.expression)
    return node


class PrintedCycle(CycleTag):
    """The tag `cycle`, printed as liquidjs prints."""

    @override
    def parse(self, stream: TokenStream) -> CycleNode:
        node = super().parse(stream)
        node.args = [Printed(each) for each in node.args]
        return node


class DisabledTag(Tag):
    """A tag that may not be used."""

    block = False

    @override
    def parse(self, stream: TokenStream) -> Node:
        token = stream.current
        raise LiquidSyntaxError(f'the tag "{token.value}" is disabled', token=token)


class SegmentEnvironment(Environment):
    """The engine with the tags, strings and whitespace of liquidjs."""

    suppress_blank_control_flow_blocks = False
    shorthand_indexes = True
    logical_not_operator = True

    @override
    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=False)
        self.filters = {}
        for tag in (PrintedOutput, PrintedEcho, ConvertingIf, ConvertingUnless, PrintedCycle):
            self.add_tag(tag)
        for name in (*DISABLED_TAGS, *_ONLY_IN_LOOPS):
            self.tags[name] = DisabledTag(self)
        for name in _UNKNOWN_TO_LIQUIDJS:
            del self.tags[name]

    @override
    def tokenizer(self) -> Callable[[str], Iterator[Token]]:
        tokenize = super().tokenizer()
        return lambda source: (_unescaped(token) for token in tokenize(source))


def _unescaped(token: Token) -> Token:
    """The token with its quoted strings as the engine writes them: it knows no backslash."""
    if token.kind != TOKEN_EXPRESSION or "\\" not in token.value:
        return token

    def quoted(match: re.Match[str]) -> str:
        text = _ESCAPE.sub(_meaning, match[2])
        quote = next((quote for quote in "\"'" if quote not in text), None)
        if quote is None:
            raise LiquidSyntaxError("a string with both kinds of quotes is not known", token=token)
        return f"{quote}{text}{quote}"

    return token._replace(value=_STRING.sub(quoted, token.value))


def _meaning(escape: re.Match[str]) -> str:
    hexadecimal, octal, other = escape.groups()
    if hexadecimal:
        return chr(int(hexadecimal, 16))
    return chr(int(octal, 8)) if octal else _NAMED_ESCAPES.get(other, other)


ENVIRONMENT: Final = SegmentEnvironment()
