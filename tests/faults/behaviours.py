"""Everything TikTok, or somebody in front of it, is known to do, and what that means.

One row for each: how the sandbox is told to do it, in which class the answer falls, what becomes
of the lane, and whether the event arrives once all is well again.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from conversion_relay.sandbox import Fault, parse_fault

_MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a sandbox does until it is told to stop.

    Attributes:
        name: of the destination that meets it.
        fault: as the sandbox is told; None: it behaves.
        result: the class of its answers, as log and metrics call it.
        lane: what the lane becomes meanwhile, None: it flows, or that takes too long to wait for.
        arrives: the event is counted once in the end; otherwise it is dead.
        is_slow: its first answer takes as long as the service waits at the most.
    """

    name: str
    fault: str | None
    result: str
    lane: str | None = None
    arrives: bool = True
    is_slow: bool = False

    def faults(self) -> list[Fault]:
        """For the sandbox."""
        return [] if self.fault is None else [parse_fault(self.fault)]


def _codes(
    numbers: Iterable[int], result: str, lane: str | None, *, arrives: bool
) -> Iterator[Behaviour]:
    for number in numbers:
        yield Behaviour(f"code-{number}", f"code={number}", result, lane, arrives)


def _statuses(
    rows: Iterable[tuple[str, int]], result: str, lane: str | None, *, arrives: bool
) -> Iterator[Behaviour]:
    for fault, number in rows:
        yield Behaviour(f"http-{number}", f"{fault}={number}", result, lane, arrives)


def _hostile(copies: int) -> Iterator[Behaviour]:
    """What takes time or memory of those who read it; several at once."""
    for number in range(copies):
        big, bomb = 100 * _MEBIBYTE, 256 * _MEBIBYTE
        yield Behaviour(f"big-{number}", f"big_body={big}", "unknown", "open")
        yield Behaviour(f"bomb-{number}", f"gzip_bomb={bomb}", "unknown", "open")
        yield Behaviour(f"loris-{number}", "slow_body=1", "unknown", is_slow=True)
        yield Behaviour(f"crumbs-{number}", "slow_body=0.01", "accepted")


_RETRIED: Final = (40132, 40133, 61000, 40200, 40201, 40202, 50000, 51000, 53103, 60001)
_CREDENTIALS: Final = (
    *(40001, *range(40101, 40108), 40110, 40113, *range(40115, 40119), 40130, 40131),
    *(*range(40300, 40303), 41000, 41001, 70001, 40063),
)
_REFUSED: Final = (
    *(40000, 40002, 40003, *range(40006, 40013), 40016, 40050, 40051, 40061, 40062, 40400, 40700),
)


def behaviours(hostile_copies: int) -> tuple[Behaviour, ...]:
    """All of them."""
    return (
        Behaviour("honest", None, "accepted"),
        Behaviour("partial", "partial_ok", "accepted"),
        *_codes(_RETRIED, "deferred", "open", arrives=True),
        *_codes((12345, 777), "deferred", "open", arrives=True),
        *_codes(_CREDENTIALS, "credentialproblem", "held", arrives=True),
        *_codes(_REFUSED, "refused", None, arrives=False),
        *_statuses([("http_status", 408)], "deferred", "open", arrives=True),
        *_statuses(
            (("server_error", status) for status in (500, 502, 503, 504)),
            "unknown",
            "open",
            arrives=True,
        ),
        *_statuses(
            (("http_status", status) for status in (401, 403, 404, 405, 407)),
            "credentialproblem",
            "held",
            arrives=True,
        ),
        *_statuses([("http_status", 400), ("http_status", 418)], "refused", None, arrives=False),
        Behaviour("throttle", "throttle=1", "throttled", "throttled"),
        Behaviour("throttle-as-401", "throttle_code=401", "throttled", "throttled"),
        Behaviour("throttle-as-200", "throttle_code=200", "throttled", "throttled"),
        Behaviour("revoked", "token_revoked=200", "credentialproblem", "held"),
        Behaviour("revoked-as-401", "token_revoked=401", "credentialproblem", "held"),
        Behaviour("redirect", "redirect", "credentialproblem", "held"),
        Behaviour("reset", "reset", "unknown", "open"),
        Behaviour("counted-reset", "accept_then_reset", "unknown", "open"),
        Behaviour("html", "garbage", "unknown", "open"),
        Behaviour("empty", "garbage= ", "unknown", "open"),
        Behaviour("array", "garbage=[0]", "unknown", "open"),
        Behaviour("silent", "timeout", "unknown", is_slow=True),
        Behaviour("counted-silent", "accept_then_hang", "unknown", is_slow=True),
        *_hostile(hostile_copies),
    )
