"""In front of the admin paths: who may, how often, and how large a request may be.

Knows paths and methods, and nothing of what stands behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conversion_relay.service.http.admin.access import AdminTokens, Caller
from conversion_relay.service.http.edge.body import BodyLimits, ClientGone, receive_body
from conversion_relay.service.http.problems import Problem, retry_after

MAX_BODY_BYTES: Final = 1024 * 1024
_ADMIN_PREFIX: Final = "/api"
_CALLER: Final = "conversion_relay.caller"
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


class AdminGuard:
    """Lets only those with a token that allows it through to `/` and `/api`.

    Args:
        app: the application behind it.
        tokens: who may.
        receive_seconds: how long a body may take to arrive.
        own_limits: paths that bound their bodies themselves.
    """

    def __init__(
        self,
        app: ASGIApp,
        tokens: AdminTokens,
        receive_seconds: float,
        own_limits: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._limits = BodyLimits(MAX_BODY_BYTES, receive_seconds)
        self._own_limits = frozenset(own_limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or says why not."""
        if scope["type"] != "http" or not _is_admin_path(scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        found = self._admitted(headers, scope["method"])
        if isinstance(found, Problem):
            await found.response()(scope, receive, send)
            return
        scope[_CALLER] = found
        if scope["method"] in _READING or scope["path"] in self._own_limits:
            await self._app(scope, receive, send)
        else:
            await self._with_body(headers, scope, receive, send)

    def _admitted(self, headers: Headers, method: str) -> Caller | Problem:
        if not self._tokens.are_configured:
            return _closed()
        authorization = headers.get("authorization")
        given = None if authorization is None else authorization.encode("latin-1")
        caller, wait_seconds = self._tokens.admit(given)
        if wait_seconds:
            return _too_many(wait_seconds)
        if caller is None:
            return _unknown()
        return caller if caller.may_operate or method in _READING else needs_operate()

    async def _with_body(
        self, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> None:
        announced = headers.get("content-length")
        length = None if announced is None else announced.encode("latin-1")
        try:
            body = await receive_body(receive, length, self._limits)
        except ClientGone:
            return
        if isinstance(body, Problem):
            await _in_our_words(body).response()(scope, receive, send)
        else:
            await self._app(scope, _given(body, receive), send)


def _given(body: bytes, receive: Receive) -> Receive:
    """What was received already, and then what comes after it."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


def _in_our_words(problem: Problem) -> Problem:
    """Of what is too large here no setting of Segment is to blame."""
    if problem.status is not HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return problem
    return Problem(
        problem.status,
        "body-too-large",
        f"The body is larger than {MAX_BODY_BYTES} bytes, which is the most that this path takes. "
        "Ask for less at a time.",
        problem.headers,
    )


def caller_of(request: Request) -> Caller:
    """Whoever sent this request, as the guard found out."""
    caller = request.scope[_CALLER]
    assert isinstance(caller, Caller), "the guard stands in front of every admin path"  # noqa: S101
    return caller


def needs_operate() -> Problem:
    """The token is good for reading only."""
    return Problem(
        HTTPStatus.FORBIDDEN,
        "needs-operate",
        "This token may only read what holds no personal data. To change something or to have "
        "personal data revealed, send the admin token (RELAY_ADMIN_TOKEN) instead.",
    )


def _closed() -> Problem:
    return Problem(
        HTTPStatus.FORBIDDEN,
        "no-admin-token",
        "The admin paths are closed because no admin token is configured: set "
        "RELAY_ADMIN_TOKEN, then send it as Authorization: Bearer …",
    )


def _unknown() -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        "This path needs the admin token (RELAY_ADMIN_TOKEN), or for reading a read token "
        "(RELAY_READ_TOKEN), as Authorization: Bearer …",
        {"WWW-Authenticate": "Bearer"},
    )


def _too_many(wait_seconds: int) -> Problem:
    return Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too-many-requests",
        "The admin paths were asked too often with this token, or by somebody without a known "
        "one. Ask again after the time in Retry-After.",
        retry_after(wait_seconds),
    )


def _is_admin_path(path: str) -> bool:
    path = path.removesuffix("\n")  # routes match in front of a line's end, too
    return path in {"/", _ADMIN_PREFIX} or path.startswith(f"{_ADMIN_PREFIX}/")
