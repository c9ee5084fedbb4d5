"""Faults to switch on: what they are called, how they are read, and when each strikes.

Knows nothing of how a fault looks on the wire: that is misbehaviour.py, a function for each name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from conversion_relay.errors import ConfigurationError
from conversion_relay.sandbox.answers import DEFAULT_SPELLING, SPELLINGS, Json

if TYPE_CHECKING:
    import random

    from conversion_relay.sandbox.journal import Arrival

Value: TypeAlias = int | float | str | None
Read_co = TypeVar("Read_co", bound=Value, covariant=True)

MEBIBYTE: Final = 1024 * 1024
_OPTION: Final = re.compile(r",(?=(?:count|probability|spelling)=)")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, switched on.

    Attributes:
        value: what the fault's row in KINDS says; None where it has none.
        count: how many requests it strikes; None until it is cleared.
        probability: of striking a request that it could strike.
        spelling: in which of TikTok's forms a refusal names the event (see SPELLINGS).
    """

    name: str
    value: Value = None
    count: int | None = None
    probability: float = 1.0
    spelling: str = DEFAULT_SPELLING

    @property
    def whole(self) -> int:
        """The value of a fault whose value is a whole number."""
        return int(self.value or 0)

    @property
    def seconds(self) -> float | None:
        """The value of a fault that waits; None waits until the client leaves."""
        return None if self.value is None else float(self.value)

    @property
    def words(self) -> str:
        """The value of a fault whose value is a text."""
        return "" if self.value is None else str(self.value)


@dataclass(frozen=True, slots=True)
class Reader(Generic[Read_co]):
    """Reads one part of a fault from JSON or from text; `read` raises ValueError."""

    need: str
    read: Callable[[Json], Read_co]


def _nothing(value: Json) -> None:
    if value is not None:
        raise ValueError(value)


def _whole_number(low: int, high: int, default: int | None = None) -> Reader[int]:
    def read(value: Json) -> int:
        number = int(str(default if value is None else value))
        if not low <= number <= high:
            raise ValueError(value)
        return number

    return Reader(f"a whole number from {low} to {high}{_otherwise(default)}", read)


def _seconds(default: float | None = None) -> Reader[float | None]:
    def read(value: Json) -> float | None:
        number = default if value is None else float(str(value))
        if number is not None and not 0 <= number < float("inf"):
            raise ValueError(value)
        return number

    return Reader(f"a number of seconds{_otherwise(default)}", read)


def _text(default: str | None = None) -> Reader[str]:
    def read(value: Json) -> str:
        chosen = default if value is None else value
        if type(chosen) not in {str, int} or chosen == "":
            raise ValueError(value)
        return str(chosen)

    return Reader(f"a text{_otherwise(default)}", read)


def _otherwise(default: Value) -> str:
    return "" if default is None else f", otherwise {default}"


def _read_count(value: Json) -> int | None:
    if value is None:
        return None
    number = int(str(value))
    if number < 1:
        raise ValueError(value)
    return number


def _read_fraction(value: Json) -> float:
    number = 1.0 if value is None else float(str(value))
    if not 0 < number <= 1:
        raise ValueError(value)
    return number


def _read_spelling(value: Json) -> str:
    if value is None:
        return DEFAULT_SPELLING
    if not isinstance(value, str) or value not in SPELLINGS:
        raise ValueError(value)
    return value


_NO_VALUE: Final = Reader("no value", _nothing)
_COUNT: Final = Reader("a whole number from 1", _read_count)
_PROBABILITY: Final = Reader("a number above 0, at most 1", _read_fraction)
_SPELLING: Final = Reader(f"one of {', '.join(SPELLINGS)}", _read_spelling)


def _every_request(_fault: Fault, _arrival: Arrival) -> bool:
    return True


def _with_the_event(fault: Fault, arrival: Arrival) -> bool:
    return fault.words in arrival.event_ids()


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of faults: what it does, its value, which requests it could strike."""

    purpose: str
    value: Reader[Value] = _NO_VALUE
    concerns: Callable[[Fault, Arrival], bool] = _every_request


KINDS: Final[Mapping[str, Kind]] = {
    "server_error": Kind("5xx with a proxy's HTML page", _whole_number(500, 599, 502)),
    "http_status": Kind("this 4xx without TikTok's JSON", _whole_number(400, 499)),
    "throttle": Kind("429 with this Retry-After", _text("1")),
    "throttle_code": Kind("code 40100 with this HTTP status", _whole_number(200, 599, 401)),
    "token_revoked": Kind("code 40105 with this HTTP status", _whole_number(200, 599, 200)),
    "code": Kind("HTTP 200 with this code", _whole_number(1, 999_999)),
    "timeout": Kind("answers after so many seconds, without a value never", _seconds()),
    "accept_then_hang": Kind("counts the events, answers late or never", _seconds()),
    "reset": Kind("closes the connection without an answer"),
    "accept_then_reset": Kind("counts the events, closes without an answer"),
    "garbage": Kind("HTTP 200 with a body that is no JSON", _text("<html>It works!</html>")),
    "big_body": Kind(
        "counts the events, answers with so many bytes",
        _whole_number(1, 1024 * MEBIBYTE, 64 * MEBIBYTE),
    ),
    "gzip_bomb": Kind(
        "counts the events, the gzip answer unfolds to so many bytes",
        _whole_number(1, 1024 * MEBIBYTE, 256 * MEBIBYTE),
    ),
    "slow_body": Kind("counts the events, answers a byte each so many seconds", _seconds(1.0)),
    "reject_index": Kind("40002 naming the event at this index", _whole_number(0, 999_999)),
    "reject_event_id": Kind("40002 naming the event with this id", _text(), _with_the_event),
    "partial_ok": Kind("counts the events, answers 20001"),
    "redirect": Kind("302 to this address", _text("https://sandbox.invalid/")),
}


def known_faults() -> str:
    """Every fault with its purpose and its value, a line each under a heading."""
    rows = (f"  {name}: {kind.purpose} ({kind.value.need})" for name, kind in KINDS.items())
    return "\n".join(("The faults, and the value of each:", *rows))


def parse_fault(text: str) -> Fault:
    """The fault of `NAME[=VALUE][,count=N][,probability=P][,spelling=S]`.

    Raises:
        ConfigurationError: for an unknown fault or a bad value; the message lists the faults.
    """
    head, *options = _OPTION.split(text)
    name, equals, value = head.partition("=")
    described: dict[str, Json] = {"fault": name}
    if equals:
        described["value"] = value
    for option in options:
        key, _equals, chosen = option.partition("=")
        described[key] = chosen
    return fault_from_json(described)


def fault_from_json(described: Json) -> Fault:
    """The fault of `{"fault", "value"?, "count"?, "probability"?, "spelling"?}`.

    Raises:
        ConfigurationError: for an unknown fault or key, or a bad value; it lists the faults.
    """
    if not isinstance(described, dict):
        raise ConfigurationError(f"a fault is an object with the key 'fault'\n{known_faults()}")
    unknown = described.keys() - {"fault", "value", "count", "probability", "spelling"}
    if unknown:
        raise ConfigurationError(
            f"unknown keys of a fault: {', '.join(sorted(unknown))}\n{known_faults()}"
        )
    name = described.get("fault")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ConfigurationError(f"unknown fault {name!r}\n{known_faults()}")
    return Fault(
        name=str(name),
        value=_part(described, "value", kind.value),
        count=_part(described, "count", _COUNT),
        probability=_part(described, "probability", _PROBABILITY),
        spelling=_part(described, "spelling", _SPELLING),
    )


def _part(described: Mapping[str, Json], key: str, reader: Reader[Read_co]) -> Read_co:
    try:
        return reader.read(described.get(key))
    except ValueError as error:
        raise ConfigurationError(
            f"fault {described['fault']}: {key} must be {reader.need}, "
            f"not {described.get(key)!r}\n{known_faults()}"
        ) from error


class FaultBoard:
    """The faults that are switched on, in order; the first that strikes decides."""

    def __init__(self, randomness: random.Random, faults: Iterable[Fault] = ()) -> None:
        self._randomness = randomness
        self._active: list[_Active] = []
        self.switch_on(faults)

    def switch_on(self, faults: Iterable[Fault]) -> None:
        """Adds faults behind those already on."""
        self._active.extend(_Active(fault) for fault in faults)

    def switch_off(self) -> None:
        """All of them."""
        self._active.clear()

    def draw(self, arrival: Arrival) -> Fault | None:
        """The fault that strikes this request, counted as used; None if it gets through."""
        for active in self._active:
            if active.concerns(arrival) and self._struck(active.fault):
                active.struck += 1
                return active.fault
        return None

    def as_json(self) -> list[Json]:
        """Every fault not yet used up, and how many requests it struck."""
        return [active.as_json() for active in self._active if not active.used_up()]

    def _struck(self, fault: Fault) -> bool:
        return fault.probability == 1 or self._randomness.random() < fault.probability


@dataclass(slots=True)
class _Active:
    fault: Fault
    struck: int = 0

    def used_up(self) -> bool:
        return self.fault.count is not None and self.struck >= self.fault.count

    def concerns(self, arrival: Arrival) -> bool:
        return not self.used_up() and KINDS[self.fault.name].concerns(self.fault, arrival)

    def as_json(self) -> dict[str, Json]:
        fault = self.fault
        return {
            "fault": fault.name,
            "value": fault.value,
            "count": fault.count,
            "probability": fault.probability,
            "spelling": fault.spelling,
            "struck": self.struck,
        }
