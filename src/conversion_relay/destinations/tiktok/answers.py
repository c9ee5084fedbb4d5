"""What TikTok's answers mean for each event of a request.

Success is `code` 0 in a 2xx answer and nothing else: HTTP 200 with another code is a failure.
A batch is taken or refused as a whole. Knows nothing of events but their number.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

import orjson

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Deferred,
    Outcome,
    Refused,
    Suspect,
    Throttled,
    Unknown,
    WireResponse,
)
from conversion_relay.core.destination import Told

LONGEST_PAUSE: Final = timedelta(hours=1)
"""However long Retry-After asks for: a slip of the partner must not spend the horizon."""
MAX_REASON_CHARACTERS: Final = 300
MAX_NOTE_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True)
class _Answer:
    """A reply, read: `code` is None where TikTok did not speak, but something on the way."""

    size: int
    status: int
    code: int | None
    message: str
    body: bytes
    retry_after: timedelta | None

    @property
    def reason(self) -> str:
        """Bounded and masked, for people."""
        if self.code is None:
            return f"HTTP {self.status} without a code of TikTok"
        message = _QUOTED.sub("[value]", self.message[: 4 * MAX_REASON_CHARACTERS])
        return _masked(f"code {self.code}: {message}", MAX_REASON_CHARACTERS)


_Rule: TypeAlias = Callable[[_Answer], tuple[Outcome, ...]]


def outcomes_of(size: int, reply: WireResponse) -> tuple[Outcome, ...]:
    """One outcome for each of the `size` events of the request, in their order."""
    code, message = _read(reply.body)
    pause = _pause(reply.retry_after_seconds)
    answer = _Answer(size, reply.status, code, message, reply.body, pause)
    return _rule_for(answer)(answer)


def told_of(reply: WireResponse) -> Told:
    """Code and request id, where TikTok spoke; its id is repeated only if it looks like one."""
    code, _ = _read(reply.body)
    if code is None:
        return Told()
    request_id = orjson.loads(reply.body).get("request_id")
    is_one = isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id)
    return Told(code, request_id if is_one else None)


def _read(body: bytes) -> tuple[int | None, str]:
    """Code and message of a body; (None, "") for what is no answer of TikTok's."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, ""
    if not isinstance(answer, dict):
        return None, ""
    code, message = answer.get("code"), answer.get("message")
    if isinstance(code, str) and _CODE.fullmatch(code):
        code = int(code)
    if not isinstance(code, int) or isinstance(code, bool):
        return None, ""
    return code, message if isinstance(message, str) else ""


_CODE: Final = re.compile(r"[0-9]{1,6}")
_REQUEST_ID: Final = re.compile(r"[0-9A-Fa-f-]{8,40}")


def _pause(seconds: float | None) -> timedelta | None:
    if seconds is None or math.isnan(seconds) or seconds < 0:
        return None
    return timedelta(seconds=min(seconds, LONGEST_PAUSE.total_seconds()))


def _rule_for(answer: _Answer) -> _Rule:
    if answer.code is None:
        return _by_status(answer.status)
    rule = _CODES.get(answer.code)
    if rule is None:
        rule = next((rule for codes, rule in _RANGES if answer.code in codes), _deferred)
    if rule in (_accepted, _accepted_in_part) and not _is_success(answer.status):
        return _unknown
    return rule


def _by_status(status: int) -> _Rule:
    rule = _STATUSES.get(status)
    if rule is not None:
        return rule
    return next((rule for statuses, rule in _STATUS_RANGES if status in statuses), _unknown)


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - the 2xx of RFC 9110


def _accepted(answer: _Answer) -> tuple[Outcome, ...]:
    return (Accepted(),) * answer.size


def _accepted_in_part(answer: _Answer) -> tuple[Outcome, ...]:
    """PARTIAL_OK: no example of its body is known, so all of it is worth logging."""
    text = answer.body.decode(errors="replace")
    return (Accepted(_masked(text, MAX_NOTE_CHARACTERS)),) * answer.size


def _deferred(answer: _Answer) -> tuple[Outcome, ...]:
    """Whoever says when to come back means the whole lane."""
    if answer.retry_after is not None:
        return _throttled(answer)
    return (Deferred(answer.reason),) * answer.size


def _throttled(answer: _Answer) -> tuple[Outcome, ...]:
    return (Throttled(answer.reason, answer.retry_after),) * answer.size


def _credential(answer: _Answer) -> tuple[Outcome, ...]:
    return (CredentialProblem(answer.reason, on_the_way=answer.code is None),) * answer.size


def _unknown(answer: _Answer) -> tuple[Outcome, ...]:
    return (Unknown(answer.reason),) * answer.size


def _overloaded(answer: _Answer) -> tuple[Outcome, ...]:
    """A 503 that says when to come back has declined the request; any other may follow a send."""
    return _unknown(answer) if answer.retry_after is None else _throttled(answer)


def _refused(answer: _Answer) -> tuple[Outcome, ...]:
    """The event the message names, or the only one; else nobody knows which it was."""
    index = _named_index(answer.message, answer.size)
    if index is None:
        alone = answer.size == 1
        return ((Refused if alone else Suspect)(answer.reason),) * answer.size
    outcomes: list[Outcome] = [Companion(_TOGETHER)] * answer.size
    outcomes[index] = Refused(answer.reason)
    return tuple(outcomes)


_TOGETHER: Final = "refused together with another event"
_INDEX: Final = re.compile(
    r"\b(?:data|batch)\s*(?:\.\s*([0-9]{1,5})\b|\[\s*([0-9]{1,5})\s*\])", re.IGNORECASE
)


def _named_index(message: str, size: int) -> int | None:
    """The zero-based index a message names, if the request has such an event.

    Only the first counts: what follows may be an echo of the event's own text.
    """
    found = _INDEX.search(message)
    if found is None:
        return None
    index = int(found[1] or found[2])
    return index if index < size else None


_QUOTED: Final = re.compile(
    r"""(?<!\w)(?:'(?!\w+[._]\w[\w.]*')[^']*'|"(?!\w+[._]\w[\w.]*")[^"]*")(?!\w)"""
)
"""What is quoted may be the event's own text, unless it reads like the name of a field."""
_MASKS: Final = (
    (re.compile(r"\bhttps?://[^\s\"'<>]+", re.IGNORECASE), "[url]"),
    (re.compile(r"[^\s\"'<>:,;=]{1,64}@[^\s\"'<>,;]{1,255}"), "[e-mail]"),
    (re.compile(r"\b[0-9a-fA-F]{32,}\b"), "[hash]"),
    (re.compile(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"), "[ip]"),
    (re.compile(r"\b(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{1,4}\b"), "[ip]"),
    (re.compile(r"\+?[0-9](?:[\s().\-/]{0,3}[0-9]){6,}"), "[number]"),
)


def _masked(text: str, limit: int) -> str:
    """The text without addresses, hashes and long numbers, in one line, bounded."""
    text = " ".join(text[: 4 * limit].split())
    for pattern, mask in _MASKS:
        text = pattern.sub(mask, text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _table(*rows: tuple[_Rule, tuple[int, ...]]) -> Mapping[int, _Rule]:
    return {number: rule for rule, numbers in rows for number in numbers}


_CODES: Final = _table(
    (_accepted, (0,)),
    (_accepted_in_part, (20001,)),
    (_throttled, (40100,)),
    (_deferred, (40132, 40133, 40200, 40201, 40202)),
    (_credential, (40001,)),
    # 40063 is an invalid partner_name: a setting, the same for every event.
    (_credential, (40063,)),
)

_RANGES: Final[tuple[tuple[range, _Rule], ...]] = (
    (range(40100, 40200), _credential),
    (range(40300, 40400), _credential),
    (range(40000, 41000), _refused),
    (range(41000, 42000), _credential),
    (range(70000, 80000), _credential),
)
"""For codes of a family that are not named above; any other is tried again: a code that is not 0
says that nothing was taken, and one that nobody knows condemns no event."""

_STATUSES: Final = _table(
    (_deferred, (408, 425)),
    (_throttled, (429,)),
    # The address or a proxy is at fault, and no event of any request would fare better.
    (_credential, (401, 403, 404, 405, 407)),
    (_overloaded, (503,)),
)

_STATUS_RANGES: Final[tuple[tuple[range, _Rule], ...]] = (
    (range(300, 400), _credential),  # redirects are not followed: the address is wrong
    (range(400, 500), _refused),
)
"""For answers without a code. All others are unknown, 2xx and 5xx alike: a gateway that gives up
(502, 504) or breaks (500, also a reset behind it) does so after it passed the bytes on. Within 48
hours a copy is recognised, so trying again costs nothing."""
