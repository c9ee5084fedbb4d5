"""The words of a trigger, read one at a time, each with its column.

Two tables hold what there is: TOKENS, the language, and MISTAKES, what people write instead and
what to tell them. Knows nothing of the order in which tokens make sense.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from conversion_relay.errors import TriggerError

_LONGEST_QUOTATION = 40


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    TEXT = "text"
    NUMBER = "number"
    OPERATOR = "operator"
    NOT = "!"
    OPEN = "("
    CLOSE = ")"
    COMMA = ","
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the trigger as it is written.

    Attributes:
        kind: what it is.
        text: with its quotes and backslashes; empty at the end.
        column: where it begins, counted from 1.
    """

    kind: Kind
    text: str
    column: int

    @property
    def lower(self) -> str:
        """The token in small letters, to recognise a word that was written in capitals."""
        return self.text.lower()

    @property
    def found(self) -> str:
        """The token as a message names it."""
        return quotation(self.text) if self.text else "the end of the trigger"


def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.ASCII | re.DOTALL)


_FIELD_CHARACTER: Final = _pattern(r"[\w.-]")
_SPACE: Final = _pattern(r"[ \t\r\n]*+")

# A number takes all that touches it, so that "1.2.3" and "1e5" are one bad number, not two tokens.
TOKENS: Final = (
    (_pattern(r"(?:[A-Za-z_]|\\.)(?:[\w.-]|\\.)*+"), Kind.WORD),
    (_pattern(r"\"[^\"]*+\"|'[^']*+'"), Kind.TEXT),
    (_pattern(r"[+-]*+\.?\d[\w.+-]*+|[+-]++"), Kind.NUMBER),
    (_pattern(r"!=|<=|>=|[<>=]"), Kind.OPERATOR),
    (_pattern(r"!"), Kind.NOT),
    (_pattern(r"\("), Kind.OPEN),
    (_pattern(r"\)"), Kind.CLOSE),
    (_pattern(r","), Kind.COMMA),
)

MISTAKES: Final = (
    (_pattern(r"===?"), "is not an operator here; write ="),
    (_pattern(r"!==|<>|~="), "is not an operator here; write !="),
    (_pattern(r"=>"), "is not an operator here; write >="),
    (_pattern(r"=<"), "is not an operator here; write <="),
    (_pattern(r"&&?"), "is not part of the language; write and"),
    (_pattern(r"\|\|?"), "is not part of the language; write or"),
    (_pattern(r"[\u201c-\u201f\xab\xbb\u2033]"), 'is a typographic quote; write "'),
    (_pattern(r"[\u2018-\u201b\u2039\u203a\u2032`\xb4]"), "is a typographic quote; write '"),
    (_pattern(r"\"[^\"]*+\Z|'[^']*+\Z"), "has no closing quote of the same kind"),
    (_pattern(r"[\[\]]"), "is not read here; join keys and positions by dots: products.0.sku"),
    (_pattern(r"\.(?!\d)"), "joins the keys of a field without spaces: properties.total"),
    (_pattern(r"\\\Z"), "stands at the end, but a character that it protects must follow"),
    (re.compile(r"\s"), "is not an ordinary space, though it may look like one"),
)
_ANYTHING_ELSE: Final = "is not part of the language"
_INSIDE_A_FIELD: Final = "needs a \\ in front of it in the name of a field"


class Tokens:
    """The tokens of one trigger: the current one, and those behind it.

    Attributes:
        text: the whole trigger.
        current: the token that was not taken yet; of kind END when none is left.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._position = 0
        self.current = self._read()

    def take(self) -> Token:
        """The current token; the next one takes its place.

        Raises:
            TriggerError: what follows is no token.
        """
        token = self.current
        self.current = self._read()
        return token

    def expect(self, kind: Kind, expected: str, advice: str = "") -> Token:
        """The current token, taken, if it is of that kind.

        Raises:
            TriggerError: it is of another kind; says what was expected, and the advice.
        """
        if self.current.kind is not kind:
            raise self.error(self.current, f"where {expected} is expected", advice)
        return self.take()

    def error(self, token: Token, problem: str, advice: str = "") -> TriggerError:
        """The error to raise for the token: the problem and, if there is any, the advice."""
        sentence = f"found {token.found} {problem}" + (f"; {advice}" if advice else "")
        return TriggerError(self.text, token.column, sentence)

    def _read(self) -> Token:
        # The expression fits everywhere, if only an empty piece.
        self._position = _SPACE.match(self.text, self._position).end()  # type: ignore[union-attr]
        if self._position == len(self.text):
            return Token(Kind.END, "", self._position + 1)
        self._refuse_mistakes()
        for pattern, kind in TOKENS:
            if found := pattern.match(self.text, self._position):
                column = self._position + 1
                self._position = found.end()
                return Token(kind, found.group(), column)
        raise self._error_here(self.text[self._position], self._problem_of_a_stranger())

    def _refuse_mistakes(self) -> None:
        for pattern, problem in MISTAKES:
            if found := pattern.match(self.text, self._position):
                raise self._error_here(found.group(), problem)

    def _problem_of_a_stranger(self) -> str:
        touches_a_field = _FIELD_CHARACTER.match(self.text, max(0, self._position - 1))
        return _INSIDE_A_FIELD if touches_a_field else _ANYTHING_ELSE

    def _error_here(self, text: str, problem: str) -> TriggerError:
        return TriggerError(self.text, self._position + 1, f"{quotation(text)} {problem}")


def quotation(text: str) -> str:
    """The text between backquotes, shortened, without anything that cannot be printed."""
    short = text if len(text) <= _LONGEST_QUOTATION else f"{text[:_LONGEST_QUOTATION]}…"
    return f"`{''.join(char if char.isprintable() else f'<U+{ord(char):04X}>' for char in short)}`"
