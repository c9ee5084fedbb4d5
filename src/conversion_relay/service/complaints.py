"""What is wrong with a configuration, in sentences: with the operator's names, never a value.

Knows the settings and their variables; reads nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from pydantic import ValidationError

from conversion_relay.service.environment import DESTINATION, SOURCE, VARIABLES
from conversion_relay.service.settings import GROUPS, Configuration, SharingSettings
from conversion_relay.service.settings.kinds import Settings
from conversion_relay.service.settings.source import OF_THE_WHOLE
from conversion_relay.service.toml_lines import Lines, Place

_WHOLE_GROUPS: Final[Mapping[Place, str]] = {
    SOURCE: "SEGMENT_SHARED_SECRET / RELAY_BEARER_TOKEN",
    DESTINATION: "TIKTOK_ACCESS_TOKEN / TIKTOK_PIXEL_CODE",
}
_NAMES_OF_VARIABLES: Final[Mapping[Place, str]] = {
    **_WHOLE_GROUPS,
    **{one.target: one.name for one in VARIABLES},
}
_MODELS: Final[Mapping[Place, type[Settings]]] = {
    (): Configuration,
    **{(name,): model for name, model in GROUPS.items()},
    ("destinations", "sharing"): SharingSettings,
}
"""By the place of a table, without the names of sources and destinations."""
_KEY_ITSELF: Final = "[key]"
"""How pydantic says that a problem is one of the key, not of what stands under it."""
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER: Final = "must be a number"
_WHOLE_NUMBER: Final = "must be a whole number"
_TABLE: Final = "must be a table"
_TRUTH: Final = "must be true or false"
_SENTENCES: Final[Mapping[str, str]] = {
    "bool_parsing": _TRUTH,
    "bool_type": _TRUTH,
    "dict_type": _TABLE,
    "enum": "must be {expected}",
    "finite_number": "must be a finite number",
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": _WHOLE_NUMBER,
    "int_type": _WHOLE_NUMBER,
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "model_type": _TABLE,
    "path_type": "must be a path",
    "string_type": "must be a text",
    "too_short": "needs at least one entry, such as [{name}.NAME]",
    "tuple_type": "must be a list, in [ ]",
    "value_error": "{error}",
}
"""By the type of pydantic's error; `{}` holds what its context knows."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong.

    Attributes:
        sentence: with the name of the setting, and its file and line where it has them.
        line: in the file, for the order.
    """

    sentence: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a configuration comes from.

    Attributes:
        name: for people: of the file.
        lines: of the file; None when the environment alone configures the service.
        variables: the settings that are called by their variables, not by a place in the file.
    """

    name: str = "the environment"
    lines: Lines | None = None
    variables: Mapping[Place, str] = field(default_factory=lambda: _NAMES_OF_VARIABLES)

    def problem(self, place: Place, sentence: str) -> Complaint:
        """The problem of a setting, called as its operator calls it."""
        for end in range(len(place), 0, -1):
            part = place[:end]
            if part in self.variables and (part == place or part not in _WHOLE_GROUPS):
                return Complaint(f"- {self.variables[part]}: {sentence}")
        line = self.lines.of(place) if self.lines else None
        called = called_in_file(place)
        where = self.name if line is None else f"{self.name}:{line}"
        return Complaint(
            f"{where}: {called}: {sentence}" if called else f"{where}: {sentence}", line
        )

    def problems(self, error: ValidationError) -> Iterator[Complaint]:
        """Those that pydantic found."""
        for found in error.errors(include_url=False, include_input=False):
            kind, place = found["type"], found["loc"]
            if kind == OF_THE_WHOLE or place[-1:] == (_KEY_ITSELF,):
                place = place[:-1]
            if kind == "missing":
                sentence = _required(place)
            elif kind == "extra_forbidden":
                sentence = _unknown(place)
            elif kind in _SENTENCES:
                context = {key: str(value) if key in {"error", "expected"} else value
                           for key, value in found.get("ctx", {}).items()}  # fmt: skip
                sentence = _SENTENCES[kind].format(**context, name=place[-1] if place else "")
            else:
                sentence = found["msg"]
            yield self.problem(place, sentence)


def told(problems: Iterable[Complaint], origin: Origin) -> str:
    """Every problem, a line each, in the order of the file, below a line that names it."""
    ordered = sorted(problems, key=lambda one: (one.line is not None, one.line or 0))
    lines = dict.fromkeys(one.sentence for one in ordered)
    return "\n".join((f"The configuration ({origin.name}) cannot be used:", *lines))


def did_you_mean(name: str, known: Sequence[str], similarity: float = 0.7) -> str | None:
    """The known name that is most like this one, unless none is."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=similarity)), None)


def called_in_file(place: Place) -> str:
    """The setting as a TOML file calls it, on one line; its list's items are counted from 0."""
    called = ""
    for key in place:
        if isinstance(key, int):
            called += f"[{key}]"
        else:
            text = key if _BARE_KEY.fullmatch(key) else quoted(key)
            called += f".{text}" if called else text
    return called


def quoted(text: str) -> str:
    """The text between quotes, on one line whatever it holds."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _required(place: Place) -> str:
    if len(place) == 1:
        return f"is required; add a table such as [{place[0]}.NAME]"
    meaning = _model_around(place).model_fields[str(place[-1])].description
    return f"is required; set it to {meaning}"


def _unknown(place: Place) -> str:
    known = tuple(_model_around(place).model_fields)
    near = did_you_mean(str(place[-1]), known)
    if near:
        return f'is not a setting; did you mean "{near}"?'
    return f"is not a setting; there are: {', '.join(known)}"


def _model_around(place: Place) -> type[Settings]:
    """What the innermost table around the place may hold."""
    named = place[:1] in {("sources",), ("destinations",)}
    return _MODELS[place[:1] + place[2:-1] if named else place[:-1]]
