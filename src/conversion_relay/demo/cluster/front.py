"""A small load balancer: requests go to the nodes in turn, and around those that cannot take them.

A node that refuses a connection, breaks one off or says that it is not ready gets nothing until it
is ready again. A request that reached no node, or was cut off before its answer, is given to the
next: every event carries its messageId, so whoever gets it a second time recognises it. For trying
and testing; knows of the nodes only their addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from conversion_relay.demo.hosting import hosted

_PROBE_SECONDS: Final = 0.5
_PROBE_TIMEOUT_SECONDS: Final = 2.0
_CONNECT_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 30.0
_MOST_REQUESTS: Final = 256
_MOST_BODY_BYTES: Final = 33 * 1024 * 1024
_HOP_BY_HOP: Final = {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te"}
_AGAIN: Final = {"Retry-After": "1"}


@dataclass(slots=True, eq=False)
class Upstream:
    """A node as the front sees it.

    Attributes:
        name: for people.
        url: its base, without a slash at the end.
        in_service: whether it gets requests.
        served: how many it answered.
    """

    name: str
    url: str
    in_service: bool = False
    served: int = 0


@dataclass(slots=True)
class Front:
    """Distributes requests.

    Attributes:
        nodes: behind it.
        changed: called when a node comes into service or leaves it.
        second_tries: how many requests went to another node after the first one failed.
        unanswered: how many no node answered.
    """

    nodes: Sequence[Upstream]
    changed: Callable[[Upstream], None] = lambda _: None
    second_tries: int = 0
    unanswered: int = 0
    _turn: int = 0
    _busy: int = 0
    _client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        """Makes the client: a connection for each request, so that none can have gone stale."""
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    @asynccontextmanager
    async def listening(self, port: int = 0) -> AsyncIterator[str]:
        """Serves, and looks after the nodes; gives the address.

        Args:
            port: the preferred one.
        """
        probing = [asyncio.create_task(self._probe(node)) for node in self.nodes]
        try:
            async with self._client, hosted(self, port=port) as url:
                yield url
        finally:
            for task in probing:
                task.cancel()
            await asyncio.wait(probing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, as an ASGI application."""
        request = Request(scope, receive)
        if self._busy >= _MOST_REQUESTS:
            answer = Response("too many requests", HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN)
        else:
            self._busy += 1
            try:
                answer = await self._answer(request)
            except ClientDisconnect:
                return
            finally:
                self._busy -= 1
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY_BYTES:
                return Response("too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        for number, node in enumerate(self._in_turn()):
            self.second_tries += number > 0
            try:
                answer = await self._ask(node, request, bytes(body))
            except httpx.TimeoutException as error:
                if not isinstance(error, httpx.ConnectTimeout):
                    break
                self._set(node, in_service=False)
            except httpx.TransportError:
                self._set(node, in_service=False)
            else:
                node.served += 1
                return answer
        self.unanswered += 1
        return Response("no node answers", HTTPStatus.SERVICE_UNAVAILABLE, _AGAIN)

    def _in_turn(self) -> Sequence[Upstream]:
        """Those in service, another one first each time; all of them where none is.

        Then each says for itself why it cannot.
        """
        able = [node for node in self.nodes if node.in_service] or list(self.nodes)
        self._turn += 1
        first = self._turn % len(able)
        return able[first:] + able[:first]

    async def _ask(self, node: Upstream, request: Request, body: bytes) -> Response:
        scope = request.scope
        path, query = scope["raw_path"], scope["query_string"]
        url = httpx.URL(node.url).copy_with(raw_path=path + (b"?" + query if query else b""))
        passed = [(name, value) for name, value in scope["headers"] if name not in _HOP_BY_HOP]
        asked = self._client.build_request(
            request.method, url, headers=passed, content=body or None
        )
        answer = await self._client.send(asked, stream=True)
        try:
            content = b"".join([chunk async for chunk in answer.aiter_raw()])
        finally:
            await answer.aclose()
        given = Response(content, answer.status_code)
        kept = [(n.lower(), value) for n, value in answer.headers.raw]
        given.raw_headers = [one for one in kept if one[0] not in _HOP_BY_HOP]
        return given

    async def _probe(self, node: Upstream) -> None:
        """Asks the node, again and again, whether it can do its work."""
        while True:
            try:
                answer = await self._client.get(
                    f"{node.url}/readyz", timeout=_PROBE_TIMEOUT_SECONDS
                )
                self._set(node, in_service=answer.is_success)
            except httpx.TransportError:
                self._set(node, in_service=False)
            await asyncio.sleep(_PROBE_SECONDS)

    def _set(self, node: Upstream, *, in_service: bool) -> None:
        if node.in_service != in_service:
            node.in_service = in_service
            self.changed(node)
