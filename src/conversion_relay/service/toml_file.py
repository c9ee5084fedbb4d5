"""Reads a TOML file with the lines of its keys, or says where it is none. Knows no setting."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

from conversion_relay.core.values import JsonObject
from conversion_relay.errors import ConfigurationError
from conversion_relay.service.toml_lines import Lines, lines_of

_WHERE: Final = re.compile(
    r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)"
)
_TOO_MANY_DIGITS: Final = re.compile(r"[0-9_]{4300}")
_MOST_BYTES: Final = 1024 * 1024


def read_toml(path: Path) -> tuple[JsonObject, Lines]:
    """What the file holds, and on which lines.

    Raises:
        ConfigurationError: it cannot be read or is no TOML; with the line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise ConfigurationError(
            f"{path} has more than {_MOST_BYTES} bytes: it is no configuration"
        )
    try:
        text = content.decode("utf-8-sig")  # editors of Windows begin a file with a mark
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}: is no TOML: it is not UTF-8") from error
    return _parsed(text.replace("\r\n", "\n"), path)


def _parsed(text: str, path: Path) -> tuple[JsonObject, Lines]:
    try:
        return tomllib.loads(text), lines_of(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}:{_explained(str(error), text)}") from error
    except ValueError as error:
        found = _TOO_MANY_DIGITS.search(text)
        line = text.count("\n", 0, found.start() if found else 0) + 1
        raise ConfigurationError(f"{path}:{line}: a number has too many digits") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path} is nested too deeply") from error


def _explained(message: str, text: str) -> str:
    """The reader's message with the line in front, where editors look for it."""
    found = _WHERE.search(message)
    if found is None or found["line"] is None:
        line, place = text.count("\n") + 1, "at the end"
    else:
        line, place = int(found["line"]), f"column {found['column']}"
    return f"{line}: is no TOML: {_WHERE.sub('', message)} ({place})"
