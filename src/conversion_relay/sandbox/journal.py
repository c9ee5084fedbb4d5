"""The latest requests, for people and tests to look at: bounded in number and in bytes.

Never holds a token: only whether it was the right one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from conversion_relay.sandbox.answers import Json
from conversion_relay.sandbox.validation import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conversion_relay.sandbox.answers import Answer

TokenVerdict: TypeAlias = Literal["right", "wrong", "missing"]

MAX_REQUESTS: Final = 1_000
MAX_BODY_BYTES: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as it came in; `body` is the parsed JSON, None if unreadable."""

    received_at: float
    token: TokenVerdict
    content_type: str
    raw: bytes
    body: Json

    def event_ids(self) -> Sequence[Json]:
        """The event_id of each element of `data`; None where it has none."""
        data = self.body.get("data") if isinstance(self.body, dict) else None
        events = data if isinstance(data, list) else []
        return [event.get("event_id") if isinstance(event, dict) else None for event in events]

    def test_event_code(self) -> Json:
        """The code that marks the whole request as a test, if any."""
        return self.body.get("test_event_code") if isinstance(self.body, dict) else None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended: what was sent back, and the fault that had a hand in it.

    Attributes:
        http_status: None if nothing was sent.
        answer: TikTok's answer; None if it had none (a proxy's page, for example). With no
            status it is what was decided and never sent.
    """

    http_status: int | None
    answer: Answer | None
    fault: str | None = None


@dataclass(slots=True)
class _Entry:
    described: dict[str, Json]
    raw: bytes | None


class Journal:
    """The last requests, oldest first; bodies may be given up earlier than their entries."""

    def __init__(
        self, max_requests: int = MAX_REQUESTS, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self._max_requests = max_requests
        self._max_body_bytes = max_body_bytes
        self._entries: deque[_Entry] = deque()
        self._with_body: deque[_Entry] = deque()
        self._body_bytes = 0
        self._written = 0

    @property
    def written(self) -> int:
        """How many requests there were since the start or the last `forget`."""
        return self._written

    def write(self, arrival: Arrival, ending: Ending) -> None:
        """Adds a request at the end."""
        self._written += 1
        entry = _Entry(_described(arrival, ending), arrival.raw)
        self._entries.append(entry)
        self._with_body.append(entry)
        self._body_bytes += len(arrival.raw)
        while self._body_bytes > self._max_body_bytes:
            self._drop_oldest_body()
        if len(self._entries) > self._max_requests and self._entries.popleft().raw is not None:
            self._drop_oldest_body()

    def latest(self, limit: int = MAX_REQUESTS) -> list[dict[str, Json]]:
        """The last requests, oldest first, at most `limit`; `body` is None if no longer kept."""
        entries = list(self._entries)[-limit:]
        return [{**entry.described, "body": parse(entry.raw or b"")} for entry in entries]

    def forget(self) -> None:
        """Starts anew."""
        self._entries.clear()
        self._with_body.clear()
        self._body_bytes = 0
        self._written = 0

    def _drop_oldest_body(self) -> None:
        entry = self._with_body.popleft()
        self._body_bytes -= len(entry.raw or b"")
        entry.raw = None


def _described(arrival: Arrival, ending: Ending) -> dict[str, Json]:
    answer = ending.answer
    return {
        "received_at": arrival.received_at,
        "status": ending.http_status,
        "code": answer.code if answer else None,
        "message": answer.message if answer else None,
        "events": len(arrival.event_ids()),
        "test_event_code": arrival.test_event_code(),
        "token": arrival.token,
        "fault": ending.fault,
    }
