"""Who may use the admin paths: tokens with scopes, compared in constant time, and how often each.

Can be exchanged while requests come in. Knows no path and no setting.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Final

from conversion_relay.service.http.rate import Allowance

REQUESTS_PER_SECOND: Final = 50
FAILURES_PER_SECOND: Final = 10
BURST_SECONDS: Final = 2


class Scope(Enum):
    """What a token is good for."""

    READ = "read"  # what holds no personal data, and nothing is changed
    OPERATE = "operate"  # everything


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request.

    Attributes:
        scope: of the token.
        name: the token's place in the configuration, such as "read_tokens 2"; says nothing of it.
    """

    scope: Scope
    name: str

    @property
    def may_operate(self) -> bool:
        """Whether personal data may be shown to them, and something changed by them."""
        return self.scope is Scope.OPERATE


@dataclass(frozen=True, slots=True)
class _Token:
    digest: bytes
    caller: Caller


class AdminTokens:
    """The tokens that open the admin paths at present, and how often each may still be used.

    Args:
        monotonic: gives seconds that never go back.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._tokens: tuple[_Token, ...] = ()
        self._left: dict[bytes, Allowance] = {}
        self._failures = self._full(FAILURES_PER_SECOND)

    def renew(self, read: Sequence[str], operate: str | None) -> None:
        """Lets these tokens in from now on, and no others; one that stays keeps its debts.

        A token that is of both kinds may everything.
        """
        named = [] if operate is None else [(operate, Caller(Scope.OPERATE, "admin_token"))]
        named += [
            (token, Caller(Scope.READ, f"read_tokens {number}"))
            for number, token in enumerate(read, 1)
        ]
        self._tokens = tuple(_Token(_digest(text.encode()), caller) for text, caller in named)
        self._left = {
            token.digest: self._left.get(token.digest) or self._full(REQUESTS_PER_SECOND)
            for token in self._tokens
        }

    @property
    def are_configured(self) -> bool:
        """Whether there is any token at all."""
        return bool(self._tokens)

    def admit(self, authorization: bytes | None) -> tuple[Caller | None, int]:
        """Who brings this header, None if nobody known; and after how many seconds they may.

        At 0 seconds the request counts. Those without a token that is known share one allowance.
        """
        token = self._found(authorization)
        now = self._monotonic()
        left = self._failures if token is None else self._left[token.digest]
        wait_seconds = left.wait_seconds(now)
        if not wait_seconds:
            left = left.spend(1, now)
        if token is None:
            self._failures = left
            return None, wait_seconds
        self._left[token.digest] = left
        return token.caller, wait_seconds

    def _found(self, authorization: bytes | None) -> _Token | None:
        """Compares with every token, so that the time tells nothing about which one came near."""
        scheme, _, given = (authorization or b"").partition(b" ")
        digest = _digest(given.strip())
        found = [one for one in self._tokens if hmac.compare_digest(one.digest, digest)]
        return found[0] if found and scheme.lower() == b"bearer" else None

    def _full(self, per_second: int) -> Allowance:
        return Allowance.full(per_second, self._monotonic(), BURST_SECONDS)


def _digest(token: bytes) -> bytes:
    """Of one length whatever the token's."""
    return sha256(token).digest()
