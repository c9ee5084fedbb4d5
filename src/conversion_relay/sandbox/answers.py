"""What the sandbox says and how TikTok spells it: codes, messages, bodies.

Knows nothing of events, faults or HTTP servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Place: TypeAlias = tuple[str | int, ...]


class Code(IntEnum):
    """The codes this sandbox answers with of its own accord.

    Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
    """

    OK = 0
    PARTIAL_OK = 20001
    METHOD_NOT_ALLOWED = 40000
    INVALID_VALUE = 40002
    BATCH_SIZE = 40061
    PERSONAL_DATA_NOT_HASHED = 40062
    INVALID_PARTNER_NAME = 40063
    TOO_MANY_REQUESTS = 40100
    TOKEN_MISSING = 40104
    TOKEN_WRONG = 40105
    PATH_NOT_FOUND = 40400


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer in TikTok's form; `http_status` is 200 for most failures too."""

    code: int
    message: str
    http_status: int = 200

    def encode(self, request_id: str) -> bytes:
        """The JSON body."""
        body = {"code": self.code, "message": self.message, "request_id": request_id, "data": {}}
        return orjson.dumps(body)


ACCEPTED: Final = Answer(Code.OK, "OK")


def request_id(now: float, number: int) -> str:
    """An id in TikTok's form: the UTC second, then 20 hex digits (here: the request's number)."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d%H%M%S}{number:020X}"


def dotted(place: Place) -> str:
    """The place as `data.0.user.email`."""
    return ".".join(str(step) for step in place)


def _about_event(template: str) -> Callable[[Place, str], str]:
    """Fills {index}, {rest} and {problem} for a place inside one event of the batch."""

    def spell(place: Place, problem: str) -> str:
        return template.format(index=place[1], rest=dotted(place[2:]), problem=problem)

    return spell


DEFAULT_SPELLING: Final = "dotted"

# Every form in which TikTok was seen to name the event that spoils a batch; the last names none.
# Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
SPELLINGS: Final[Mapping[str, Callable[[Place, str], str]]] = {
    "dotted": _about_event("Invalid value for data.{index}.{rest}: {problem}"),
    "spaced": _about_event("Invalid value for data. {index} .{rest}: {problem}"),
    "bracketed": _about_event("Invalid value for data[{index}].{rest}: {problem}"),
    "batch": _about_event("Batch.{index}.{rest}: {problem}"),
    "anonymous": lambda _place, problem: f"Invalid parameter: {problem}",
}


def invalid(place: Place, problem: str, code: int = Code.INVALID_VALUE) -> Answer:
    """A refusal that names the place in the request, `data.<index>` first if inside an event."""
    return Answer(code, f"Invalid value for {dotted(place)}: {problem}")
