"""Texts as PostgreSQL can keep them: it knows no NUL. Pure."""

from __future__ import annotations

from typing import Final

_MARK: Final = "\x1b"
_NUL: Final = "\x00"


def kept(text: str) -> str:
    """The text without NUL; `given` turns it back."""
    if _NUL in text or _MARK in text:
        return text.replace(_MARK, _MARK + "E").replace(_NUL, _MARK + "0")
    return text


def given(text: str) -> str:
    """The text as it was before `kept`."""
    if _MARK in text:
        return text.replace(_MARK + "0", _NUL).replace(_MARK + "E", _MARK)
    return text


def optionally_kept(text: str | None) -> str | None:
    """The same of a text that may be missing."""
    return None if text is None else kept(text)


def optionally_given(text: str | None) -> str | None:
    """The text as it was before `optionally_kept`."""
    return None if text is None else given(text)
