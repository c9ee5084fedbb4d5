"""Who may post: every combination of what a source accepts and what a request brings."""

from __future__ import annotations

import pytest

from conversion_relay.service.http.signature import (
    Credentials,
    Presented,
    Verdict,
    judge_headers,
    verify,
)
from support.events import signature

BODY = b'[{"a":1},{"b":2}]'
FIRST = b'{"a":1}'
SECRET, OLD_SECRET = b"new secret", b"old secret"
TOKEN = b"token-1"
BOTH = Credentials((SECRET, OLD_SECRET), (TOKEN, b"token-2"))
SIGNING = Credentials((SECRET,), ())
BEARING = Credentials((), (TOKEN,))
OVER_BODY = signature("new secret", BODY).encode()
OVER_FIRST = signature("new secret", FIRST).encode()
OLD_OVER_FIRST = signature("old secret", FIRST).encode()
BEARER = b"Bearer token-1"


@pytest.mark.parametrize(
    ("accepted", "signed", "authorization", "batch", "verdict"),
    [
        (Credentials(open_to_all=True), None, None, True, Verdict.TRUSTED),
        (SIGNING, OVER_BODY, None, False, Verdict.TRUSTED),
        (SIGNING, OVER_BODY.upper(), None, False, Verdict.TRUSTED),
        (SIGNING, OVER_BODY[:-1], None, False, Verdict.WRONG),
        (SIGNING, b"", None, False, Verdict.WRONG),
        (SIGNING, "é".encode(), None, False, Verdict.WRONG),
        (SIGNING, OVER_FIRST, None, False, Verdict.WRONG),
        (SIGNING, None, None, False, Verdict.MISSING),
        (SIGNING, None, BEARER, False, Verdict.WRONG),
        (SIGNING, OVER_FIRST, None, True, Verdict.FIRST_ONLY),
        (SIGNING, OVER_BODY, None, True, Verdict.TRUSTED),
        (BEARING, None, BEARER, True, Verdict.TRUSTED),
        (BEARING, None, b"bearer  token-1", True, Verdict.TRUSTED),
        (BEARING, b"whatever", BEARER, False, Verdict.TRUSTED),
        (BEARING, None, b"Basic token-1", False, Verdict.WRONG),
        (BEARING, None, b"Bearer token-", False, Verdict.WRONG),
        (BEARING, None, None, False, Verdict.MISSING),
        (BOTH, OVER_FIRST, BEARER, True, Verdict.TRUSTED),
        (BOTH, OLD_OVER_FIRST, b"Bearer token-2", True, Verdict.TRUSTED),
        (BOTH, OVER_FIRST, None, True, Verdict.FIRST_ONLY),
        (BOTH, OVER_FIRST, b"Bearer wrong", True, Verdict.FIRST_ONLY),
        (BOTH, b"0" * 40, BEARER, True, Verdict.WRONG),
        (BOTH, b"0" * 40, None, True, Verdict.WRONG),
        (BOTH, None, BEARER, True, Verdict.TRUSTED),
        (BOTH, None, None, True, Verdict.MISSING),
    ],
)
def test_verdicts(
    accepted: Credentials,
    signed: bytes | None,
    authorization: bytes | None,
    batch: bool,
    verdict: Verdict,
) -> None:
    presented = Presented(signed, authorization)
    assert verify(accepted, presented, BODY, lambda: FIRST if batch else None) is verdict


@pytest.mark.parametrize(
    ("accepted", "signed", "authorization", "verdict"),
    [
        (Credentials(open_to_all=True), None, None, Verdict.TRUSTED),
        (BOTH, None, None, Verdict.MISSING),
        (SIGNING, None, BEARER, Verdict.WRONG),
        (SIGNING, b"no signature", BEARER, Verdict.WRONG),
        (BOTH, b"0" * 39, BEARER, Verdict.WRONG),
        (BOTH, None, b"Bearer wrong", Verdict.WRONG),
        (BOTH, None, BEARER, Verdict.TRUSTED),
        (BEARING, b"whatever", None, Verdict.MISSING),
        (BOTH, b"0" * 40, None, None),
        (BOTH, b" " + OVER_BODY.upper() + b"\t", None, None),
    ],
)
def test_what_the_headers_alone_decide(
    accepted: Credentials,
    signed: bytes | None,
    authorization: bytes | None,
    verdict: Verdict | None,
) -> None:
    assert judge_headers(accepted, Presented(signed, authorization)) is verdict


def test_the_first_event_is_looked_for_only_when_the_body_is_not_what_was_signed() -> None:
    def never() -> bytes | None:
        raise AssertionError

    assert verify(SIGNING, Presented(OVER_BODY, None), BODY, never) is Verdict.TRUSTED
    assert verify(BEARING, Presented(None, BEARER), BODY, never) is Verdict.TRUSTED
