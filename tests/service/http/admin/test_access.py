"""Tokens with scopes: who may, how often, and that they can be exchanged while requests come."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from conversion_relay.service.http.admin.access import (
    BURST_SECONDS,
    FAILURES_PER_SECOND,
    REQUESTS_PER_SECOND,
    AdminTokens,
    Caller,
    Scope,
)

READ, OTHER, OPERATE = "read-token", "other-read-token", "operate-token"


@dataclass(slots=True)
class Seconds:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        """The present."""
        return self.now


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def tokens(clock: Seconds) -> AdminTokens:
    found = AdminTokens(clock)
    found.renew([READ, OTHER], OPERATE)
    return found


def bearer(token: str) -> bytes:
    return f"Bearer {token}".encode()


@pytest.mark.parametrize(
    ("authorization", "caller"),
    [
        (bearer(OPERATE), Caller(Scope.OPERATE, "admin_token")),
        (bearer(READ), Caller(Scope.READ, "read_tokens 1")),
        (bearer(OTHER), Caller(Scope.READ, "read_tokens 2")),
        (b"bearer  read-token ", Caller(Scope.READ, "read_tokens 1")),
        (None, None),
        (b"", None),
        (b"read-token", None),
        (b"Basic read-token", None),
        (b"Bearer ", None),
        (b"Bearer read-toke", None),
        (b"Bearer read-token2", None),
        (b"Bearer \xff", None),
    ],
)
def test_who_brings_a_header(
    tokens: AdminTokens, authorization: bytes | None, caller: Caller | None
) -> None:
    assert tokens.admit(authorization) == (caller, 0)


def test_a_token_of_both_kinds_may_everything(tokens: AdminTokens) -> None:
    tokens.renew([OPERATE], OPERATE)
    caller, _ = tokens.admit(bearer(OPERATE))
    assert caller is not None
    assert caller.may_operate


def test_the_name_of_a_caller_says_nothing_of_the_token(tokens: AdminTokens) -> None:
    caller, _ = tokens.admit(bearer(READ))
    assert READ not in str(caller)


def test_others_can_be_let_in(tokens: AdminTokens) -> None:
    tokens.renew([OTHER], None)
    assert tokens.admit(bearer(READ))[0] is None
    assert tokens.admit(bearer(OPERATE))[0] is None
    assert tokens.admit(bearer(OTHER))[0] == Caller(Scope.READ, "read_tokens 1")
    tokens.renew([], None)
    assert not tokens.are_configured


@pytest.mark.parametrize(
    ("authorization", "per_second"),
    [(bearer(READ), REQUESTS_PER_SECOND), (b"Bearer wrong", FAILURES_PER_SECOND)],
)
def test_each_has_so_many_a_second(
    tokens: AdminTokens, clock: Seconds, authorization: bytes, per_second: int
) -> None:
    waits = [tokens.admit(authorization)[1] for _ in range(per_second * BURST_SECONDS + 1)]
    assert waits == [0] * (per_second * BURST_SECONDS) + [1]
    assert tokens.admit(bearer(OPERATE)) == (Caller(Scope.OPERATE, "admin_token"), 0)
    clock.now += 1
    again = [tokens.admit(authorization)[1] for _ in range(per_second + 1)]
    assert again == [0] * per_second + [1]


def test_whoever_stays_keeps_what_they_spent(tokens: AdminTokens) -> None:
    for _ in range(REQUESTS_PER_SECOND * BURST_SECONDS):
        tokens.admit(bearer(READ))
    tokens.renew([OTHER, READ], OPERATE)
    assert tokens.admit(bearer(READ)) == (Caller(Scope.READ, "read_tokens 2"), 1)
