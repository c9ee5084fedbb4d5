"""Who may post: HMAC signatures over raw bytes, and bearer tokens, compared in constant time.

Segment signs a batch only over its first event, so a signature alone proves nothing about the
rest: a batch needs the bearer token as well. Knows no HTTP framework.
Source: segment.com/docs/connections/destinations/catalog/actions-webhook (read 2026-11-21).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What the credentials of a request allow."""

    TRUSTED = "trusted"  # all of it may come in
    FIRST_ONLY = "first_only"  # a batch, signed over its first event, without the bearer token
    MISSING = "missing"  # no credential
    WRONG = "wrong"  # a credential that does not fit


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a source accepts; several of a kind are for rotation. None at all trusts everybody."""

    signing_secrets: tuple[bytes, ...] = ()
    bearer_tokens: tuple[bytes, ...] = ()

    @property
    def open_to_all(self) -> bool:
        """The source was configured without authentication."""
        return not self.signing_secrets and not self.bearer_tokens


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brought.

    Attributes:
        signature: the X-Signature header, or None.
        authorization: the Authorization header, or None.
    """

    signature: bytes | None
    authorization: bytes | None


def verify(
    accepted: Credentials, presented: Presented, body: bytes, first: bytes | None
) -> Verdict:
    """What the request's credentials allow.

    Args:
        accepted: of the source.
        presented: of the request.
        body: raw.
        first: the raw first event when the body is a batch of several, else None.
    """
    if accepted.open_to_all:
        return Verdict.TRUSTED
    bearer = _bearer(accepted.bearer_tokens, presented.authorization)
    if not accepted.signing_secrets or presented.signature is None:
        return bearer
    if _signed(accepted.signing_secrets, presented.signature, body):
        return Verdict.TRUSTED
    if first is None or not _signed(accepted.signing_secrets, presented.signature, first):
        return Verdict.WRONG
    return Verdict.TRUSTED if bearer is Verdict.TRUSTED else Verdict.FIRST_ONLY


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
        hmac.compare_digest(hmac.new(secret, message, hashlib.sha1).hexdigest().encode(), given)
        for secret in secrets
    ]
    return any(found)
