"""Errors as problem documents (RFC 9457): what was found, what was expected, what to do.

Knows no path of the service and never carries a value that came with a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from conversion_relay.core.values import Json
from conversion_relay.errors import StoreError

_UNREADABLE: Final = (
    "The body cannot be read as JSON: it is not UTF-8, nested too deeply, or holds a number of "
    "too many digits."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused.

    Attributes:
        status: of the answer.
        slug: short name of the kind of problem; its `type` is `urn:conversion-relay:problem:SLUG`.
        detail: for people; what to do about it.
        headers: added to the answer, such as Retry-After in seconds.
        members: added to the document, for clients that look for others.
    """

    status: HTTPStatus
    slug: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, Json] = field(default_factory=dict)

    def response(self) -> Response:
        """The answer."""
        document = {
            "type": f"urn:conversion-relay:problem:{self.slug}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            **self.members,
        }
        return Response(
            orjson.dumps(document),
            self.status.value,
            headers=self.headers,
            media_type="application/problem+json",
        )


def retry_after(seconds: int) -> Mapping[str, str]:
    """The header that tells a client when to come back."""
    return {"Retry-After": str(seconds)}


def answer_with_problems(application: FastAPI) -> None:
    """Makes every error of the application a problem document, without the request's values."""

    @application.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        if status is HTTPStatus.BAD_REQUEST:  # so FastAPI calls a body that json cannot read
            return _invalid_request(_UNREADABLE)
        headers = dict(error.headers or {})
        return Problem(
            status, _slug(status), f"{status.description or status.phrase}.", headers
        ).response()

    @application.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        places = "; ".join(
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        )
        return _invalid_request(places)

    @application.exception_handler(StoreError)
    async def _store(_: Request, __: StoreError) -> Response:
        detail = "The store does not answer. Ask again in a moment; the log says why."
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "no-store", detail, retry_after(5)
        ).response()

    @application.exception_handler(Exception)
    async def _fault(_: Request, __: Exception) -> Response:
        detail = "The service met a fault of its own. The request may be sent again."
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return Problem(status, "internal-error", detail, retry_after(5)).response()


def _invalid_request(detail: str) -> Response:
    text = detail.encode(errors="replace").decode()
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", text).response()


def _slug(status: HTTPStatus) -> str:
    return status.phrase.lower().replace(" ", "-")
