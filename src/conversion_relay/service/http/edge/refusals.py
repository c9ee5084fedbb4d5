"""What is answered to a connection whose request never becomes one for the application.

Each of them ends the connection.
"""

from __future__ import annotations

from http import HTTPStatus

from conversion_relay.service.http.problems import Problem, retry_after

_RETRY_SECONDS = 5


def bad_request() -> Problem:
    """What came is no HTTP."""
    return Problem(HTTPStatus.BAD_REQUEST, "bad-request", "This cannot be read as HTTP/1.1.")


def address_too_long(allowed_bytes: int) -> Problem:
    """The request line alone has more bytes than all header fields may have."""
    return Problem(
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "address-too-long",
        f"The address is longer than {allowed_bytes} bytes (RELAY_MAX_HEADER_BYTES).",
    )


def headers_too_large(allowed_bytes: int, allowed_fields: int) -> Problem:
    """More header fields, or longer ones, than are read."""
    return Problem(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers-too-large",
        f"The header has more than {allowed_bytes} bytes (RELAY_MAX_HEADER_BYTES) or more than "
        f"{allowed_fields} fields.",
    )


def too_slow(allowed_seconds: float) -> Problem:
    """The request did not arrive in time."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT,
        "too-slow",
        f"The request did not arrive within {allowed_seconds:g} s.",
    )


def too_many_connections() -> Problem:
    """There is no room for one more connection."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too-many-connections",
        "More connections are open than are served (RELAY_MAX_CONNECTIONS). Connect again.",
        retry_after(_RETRY_SECONDS),
    )
