"""Who may post: HMAC signatures over raw bytes, and bearer tokens, compared in constant time.

Segment signs a batch only over its first event, so a signature alone proves nothing about the
rest: a batch needs the bearer token as well. Knows no HTTP framework.
Source: segment.com/docs/connections/destinations/catalog/actions-webhook (read 2026-11-21).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

_HEXADECIMAL: Final = re.compile(rb"[ \t]*[0-9a-fA-F]{40}[ \t]*")


class Verdict(Enum):
    """What the credentials of a request allow."""

    TRUSTED = "trusted"  # all of it may come in
    FIRST_ONLY = "first_only"  # a batch, signed over its first event, without the bearer token
    MISSING = "missing"  # no credential
    WRONG = "wrong"  # a credential that does not fit


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a source accepts; several of a kind are for rotation.

    Attributes:
        signing_secrets: of the webhook.
        bearer_tokens: of the webhook.
        write_keys: of the Tracking API.
        open_to_all: the webhook was configured without authentication.
    """

    signing_secrets: tuple[bytes, ...] = ()
    bearer_tokens: tuple[bytes, ...] = ()
    write_keys: tuple[bytes, ...] = ()
    open_to_all: bool = False


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brought.

    Attributes:
        signature: the X-Signature header, or None.
        authorization: the Authorization header, or None.
    """

    signature: bytes | None
    authorization: bytes | None


def judge_headers(accepted: Credentials, presented: Presented) -> Verdict | None:
    """What the headers alone decide; None when it depends on the body.

    So a body is received only from those who may turn out to be trusted.
    """
    if accepted.open_to_all:
        return Verdict.TRUSTED
    if not accepted.signing_secrets or presented.signature is None:
        return _bearer(accepted.bearer_tokens, presented.authorization)
    return None if _HEXADECIMAL.fullmatch(presented.signature) else Verdict.WRONG


def verify(
    accepted: Credentials,
    presented: Presented,
    body: bytes,
    find_first: Callable[[], bytes | None],
) -> Verdict:
    """What the request's credentials allow.

    Args:
        accepted: of the source.
        presented: of the request.
        body: raw.
        find_first: gives the raw first event when the body is a list, else None; asked only when
            the signature is not the body's.
    """
    judged = judge_headers(accepted, presented)
    if judged is not None:
        return judged
    signature = presented.signature or b""
    if _signed(accepted.signing_secrets, signature, body):
        return Verdict.TRUSTED
    first = find_first()
    if first is None or not _signed(accepted.signing_secrets, signature, first):
        return Verdict.WRONG
    bearer = has_token(accepted.bearer_tokens, presented.authorization)
    return Verdict.TRUSTED if bearer else Verdict.FIRST_ONLY


def has_token(tokens: Sequence[bytes], authorization: bytes | None) -> bool:
    """Whether the Authorization header carries one of the bearer tokens."""
    return _bearer(tokens, authorization) is Verdict.TRUSTED


def _bearer(tokens: Sequence[bytes], authorization: bytes | None) -> Verdict:
    if authorization is None:
        return Verdict.MISSING
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer":
        return Verdict.WRONG
    return _among(tokens, token.strip())


def _among(tokens: Sequence[bytes], token: bytes) -> Verdict:
    """Compares with every token, so that the time tells nothing about which one came near."""
    found = [hmac.compare_digest(one, token) for one in tokens]
    return Verdict.TRUSTED if any(found) else Verdict.WRONG


def _signed(secrets: Sequence[bytes], signature: bytes, message: bytes) -> bool:
    given = signature.strip().lower()
    found = [
        hmac.compare_digest(hmac.digest(secret, message, "sha1").hex().encode(), given)
        for secret in secrets
    ]
    return any(found)
