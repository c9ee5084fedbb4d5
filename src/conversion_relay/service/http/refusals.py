"""Why the webhook refuses a request, in words that say how to mend it.

Knows the settings' names; what leads to a refusal is the endpoint's to say.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from conversion_relay.service.http.problems import Problem, retry_after
from conversion_relay.service.http.signature import Credentials, Verdict

_RETRY_SECONDS: Final = 5
_HALF_SIGNED_RETRY_SECONDS: Final = 60


def unknown_source() -> Problem:
    """The path names no configured source."""
    return Problem(HTTPStatus.NOT_FOUND, "unknown-source", "No source of this name is configured.")


def body_too_large(allowed_bytes: int) -> Problem:
    """A larger body than is taken; the rest of it is not read."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body-too-large",
        f"The body is larger than {allowed_bytes} bytes. Lower the batch size in Segment, or "
        "raise RELAY_MAX_BODY_BYTES.",
        {"Connection": "close"},
    )


def too_slow(allowed_seconds: float) -> Problem:
    """The body did not arrive in time."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "too-slow",
        f"The body did not arrive within {allowed_seconds:g} s.",
        {"Connection": "close"},
    )


def batch_too_long(allowed: int) -> Problem:
    """More events than a request may hold."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "batch-too-long",
        f"There are more than {allowed} events in one request. Lower the batch size in Segment, "
        "or raise RELAY_MAX_BATCH_EVENTS.",
    )


def event_too_large(allowed_bytes: int) -> Problem:
    """The one event of the request is too large."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "event-too-large",
        f"The event is larger than {allowed_bytes} bytes (Segment's own limit is 32 KB). Raise "
        "RELAY_MAX_EVENT_BYTES if that is meant.",
    )


def unauthorized(accepted: Credentials, verdict: Verdict) -> Problem:
    """No credential, or a wrong one."""
    ways = []
    if accepted.signing_secrets:
        ways.append("X-Signature (set the same shared secret in Segment's webhook destination)")
    if accepted.bearer_tokens:
        ways.append('the header "Authorization: Bearer …"')
    if not ways:
        ways.append("no webhook: it has only write keys, for the libraries that post to /v1/…")
    found = "carries no credential" if verdict is Verdict.MISSING else "carries a wrong credential"
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        f"The request {found}. This source accepts {' or '.join(ways)}.",
        {"WWW-Authenticate": "Bearer", "Connection": "close"},  # the body may not have been read
    )


def half_signed(accepted: Credentials) -> Problem:
    """A batch whose first event verifies, without the bearer token the others need."""
    missing = (
        'add the header "Authorization: Bearer …" with the token of RELAY_BEARER_TOKEN'
        if accepted.bearer_tokens
        else 'set RELAY_BEARER_TOKEN here and the header "Authorization: Bearer …" with it'
    )
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "batch-lacks-bearer",
        "Segment signs only the first event of a batch, so the others could be forged. Nothing is "
        f"lost while Segment retries: {missing} in the mapping of Segment's webhook destination "
        "(or switch batching off there).",
        retry_after(_HALF_SIGNED_RETRY_SECONDS),
    )


def unreadable(reason: str) -> Problem:
    """The body is no JSON."""
    return Problem(
        HTTPStatus.BAD_REQUEST, "unreadable-body", f"The body cannot be read as JSON: {reason}."
    )


def unsupported_encoding() -> Problem:
    """The body is compressed."""
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-encoding",
        "Compressed bodies are not taken here; Segment's webhook destination sends plain JSON.",
        {"Accept-Encoding": "identity"},
    )


def not_kept() -> Problem:
    """The store could not take the events."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-kept",
        "The events could not be written to the disk, so they were not taken. Send them again.",
        retry_after(_RETRY_SECONDS),
    )


def not_erased() -> Problem:
    """A `delete` event was kept, but not all of what it is about is erased yet."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-erased",
        "What is kept of a user could not be erased completely. Send the delete event again; what "
        "else came with it is known already.",
        retry_after(_RETRY_SECONDS),
    )


def busy() -> Problem:
    """More is waiting than there is room for."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        "Too many events wait for their turn or for the disk already, so these were not taken. "
        "Send them again.",
        retry_after(_RETRY_SECONDS),
    )


def delivers_only() -> Problem:
    """This node has another role."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "delivers-only",
        "This node only delivers (--role deliver), so the events were not taken. Post them to "
        "nodes with --role ingest or all, and have whatever spreads requests leave this one out.",
        {"Connection": "close", **retry_after(_RETRY_SECONDS)},  # the body is not read
    )


def crowded() -> Problem:
    """More requests, or more of their bodies, than are taken at a time."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        "More requests or larger ones came at the same time than are taken (RELAY_MAX_REQUESTS, "
        "RELAY_MAX_RECEIVING_BYTES). Send it again.",
        {"Connection": "close", **retry_after(_RETRY_SECONDS)},  # the rest of it is not read
    )


def too_many_events(wait_seconds: int) -> Problem:
    """The source sent more events than its limit allows; nothing of this request was kept."""
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-events",
        "This source sends more events a second than its rate_limit allows. Send them again after "
        "the time in Retry-After.",
        {"Connection": "close", **retry_after(wait_seconds)},  # the body may not have been read
    )
