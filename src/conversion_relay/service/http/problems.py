"""Errors as problem documents (RFC 9457): what was found, what was expected, what to do.

Knows no path of the service and never carries a value that came with a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused.

    Attributes:
        status: of the answer.
        slug: short name of the kind of problem; its `type` is `urn:conversion-relay:problem:SLUG`.
        detail: for people; what to do about it.
        headers: added to the answer, such as Retry-After in seconds.
    """

    status: HTTPStatus
    slug: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The answer."""
        document = {
            "type": f"urn:conversion-relay:problem:{self.slug}",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
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
