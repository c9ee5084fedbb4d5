"""What is answered to a connection whose request never becomes one for the application.

Each of them ends the connection.
"""

from __future__ import annotations

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

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


def chunks_too_small(allowed_chunks: int, least_bytes: int) -> Problem:
    """The body came in very many very small chunks."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "chunks-too-small",
        f"The body has more than {allowed_chunks} chunks of less than {least_bytes} bytes on "
        "average. Send larger ones, or the body with its length.",
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


def raw(problem: Problem) -> bytes:
    """The answer as it goes over the wire."""
    response = problem.response()
    fields = [*response.raw_headers, (b"connection", b"close")]
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"%b%b\r\n%b" % (STATUS_LINE[response.status_code], lines, bytes(response.body))
