"""Why the Tracking API refuses a request; what is too large is answered 400, as Segment does.

Knows the settings' names; what leads to a refusal is the endpoint's to say.
"""

from __future__ import annotations

from http import HTTPStatus

from conversion_relay.service.http.problems import Problem


def unauthorized(found: str, challenge: str) -> Problem:
    """No write key, or a wrong one.

    Args:
        found: how a sentence goes on that begins with the request.
        challenge: of the header WWW-Authenticate.
    """
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        f"The request {found}. Give the library the write key of a source that is configured here "
        "(SEGMENT_WRITE_KEY, or write_keys in the TOML file): it is sent as the user name of "
        'Basic, or as "writeKey" in the body.',
        {"WWW-Authenticate": challenge, "Connection": "close"},  # the body may not have been read
    )


def unknown_call() -> Problem:
    """The path names nothing that Segment's libraries call."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        "not-found",
        "There is no such call: Segment's libraries post to /v1/track, page, identify, screen, "
        "group, alias, batch or import.",
        {"Connection": "close"},
    )


def unsupported_encoding() -> Problem:
    """The body is packed in a way that is not known here."""
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-encoding",
        "The body may be plain, or have the Content-Encoding gzip or deflate.",
        {"Accept-Encoding": "gzip, deflate", "Connection": "close"},
    )


def damaged() -> Problem:
    """The packed body cannot be unpacked."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "unreadable-body",
        "The compressed body is damaged, ends too early, or is followed by other data.",
        {"Connection": "close"},
    )


def unreadable(reason: str) -> Problem:
    """The body is no JSON, or not what the path takes."""
    return Problem(
        HTTPStatus.BAD_REQUEST, "unreadable-body", f"The body cannot be used: {reason}."
    )


def event_too_large(allowed_bytes: int) -> Problem:
    """The one event of the request is too large; the rest of it is not read."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "event-too-large",
        f"The event is larger than {allowed_bytes} bytes (unpacked; Segment's own limit is "
        "32 KB). Raise RELAY_MAX_TRACKING_EVENT_BYTES if that is meant.",
        {"Connection": "close"},
    )


def batch_too_large(allowed_bytes: int) -> Problem:
    """The body of a batch is too large; the rest of it is not read."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "body-too-large",
        f"The batch is larger than {allowed_bytes} bytes (unpacked; Segment's own limit is "
        "500 KB). Let the library send fewer events at a time, or raise "
        "RELAY_MAX_TRACKING_BODY_BYTES.",
        {"Connection": "close"},
    )


def shares_too_much(allowed_bytes: int) -> Problem:
    """What stands beside the batch makes its events too large together."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "body-too-large",
        f"With what its events share, the batch is larger than {allowed_bytes} bytes. Put less "
        "beside it, or send fewer events at a time.",
    )


def beside_too_large(allowed_bytes: int) -> Problem:
    """What stands beside the batch is more than an event may hold together with it."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "body-too-large",
        f'What stands beside "batch" is larger than {allowed_bytes} bytes, more than an event may '
        "be. Put less there.",
    )


def batch_too_long(allowed: int) -> Problem:
    """More events than a request may hold."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "batch-too-long",
        f"There are more than {allowed} events in one batch. Let the library send fewer at a "
        "time, or raise RELAY_MAX_BATCH_EVENTS.",
    )
