"""What is wrong with a configuration, in sentences: with the operator's names, never a value.

Knows the settings and their variables; reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pydantic import BaseModel, ValidationError

from conversion_relay.service.environment import DESTINATION, SOURCE, VARIABLES
from conversion_relay.service.settings import (
    Configuration,
    DestinationSettings,
    ServiceSettings,
    SourceSettings,
)

_WHOLE_GROUPS: Final = {
    SOURCE: "SEGMENT_SHARED_SECRET / RELAY_BEARER_TOKEN",
    DESTINATION: "TIKTOK_ACCESS_TOKEN / TIKTOK_PIXEL_CODE",
}
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
    "tuple_type": "must be a list",
    "value_error": "{error}",
}
"""By the type of pydantic's error; `{}` holds what its context knows."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a configuration comes from.

    Attributes:
        name: for people.
        variables: settings are called by their variables, not by their place in a file.
    """

    name: str
    variables: bool


def explain(error: ValidationError, origin: Origin) -> str:
    """Every problem, a line each, below a line that names the origin."""
    lines = [f"The configuration ({origin.name}) cannot be used:"]
    for problem in error.errors(include_url=False, include_input=False):
        place = tuple(str(part) for part in problem["loc"])
        name = _name_of(place, origin)
        if problem["type"] == "missing":
            sentence = _required(place)
        elif problem["type"] == "extra_forbidden":
            sentence = _unknown(place)
        else:
            context = {key: str(value) if key in {"error", "expected"} else value
                       for key, value in problem.get("ctx", {}).items()}  # fmt: skip
            sentence = _SENTENCES.get(problem["type"], problem["msg"])
            sentence = sentence.format(**context, name=place[-1] if place else "")
        lines.append(f"- {name}: {sentence}")
    return "\n".join(lines)


def did_you_mean(name: str, known: Sequence[str], similarity: float = 0.7) -> str | None:
    """The known name that is most like this one, unless none is."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=similarity)), None)


def _name_of(place: tuple[str, ...], origin: Origin) -> str:
    if origin.variables:
        if place in _WHOLE_GROUPS:
            return _WHOLE_GROUPS[place]
        for variable in VARIABLES:
            if variable.target == place[: len(variable.target)]:
                return variable.name
    return ".".join(place) or "the file"


def _required(place: tuple[str, ...]) -> str:
    if len(place) == 1:
        return f"is required; add a table such as [{place[0]}.NAME]"
    meanings = [one.meaning for one in VARIABLES if one.target[-1] == place[-1]]
    return f"is required; set it to {meanings[0]}"


def _unknown(place: tuple[str, ...]) -> str:
    models: Mapping[str, type[BaseModel]] = {
        "service": ServiceSettings,
        "sources": SourceSettings,
        "destinations": DestinationSettings,
    }
    model = Configuration if len(place) == 1 else models[place[0]]
    near = did_you_mean(place[-1], tuple(model.model_fields))
    if near:
        return f'is not a setting; did you mean "{near}"?'
    return f"is not a setting; there are: {', '.join(model.model_fields)}"
