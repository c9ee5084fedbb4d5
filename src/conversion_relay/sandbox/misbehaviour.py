"""What each fault does to an exchange: one function for each name, in one table.

Decides what is counted and what is answered; does not know when a fault strikes.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from starlette.responses import Response

from conversion_relay.sandbox.answers import ACCEPTED, SPELLINGS, Answer, Code
from conversion_relay.sandbox.faults import MEBIBYTE, Fault
from conversion_relay.sandbox.wire import Crumbs, Late, Reset, Silence, stays

if TYPE_CHECKING:
    from starlette.types import Receive

    from conversion_relay.sandbox.journal import Arrival
    from conversion_relay.sandbox.wire import Sleep

_JSON: Final = {"Content-Type": "application/json"}
_HTML: Final = "<html><body><h1>{status}</h1><p>The sandbox was told to fail.</p></body></html>"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on its way to an answer.

    Attributes:
        judge: TikTok's true answer; counts the events if there is nothing wrong with them.
        request_id: what the answer calls this request.
    """

    arrival: Arrival
    judge: Callable[[], Answer]
    request_id: str
    receive: Receive
    sleep: Sleep

    def body(self, answer: Answer) -> bytes:
        """The answer as it is sent."""
        return answer.encode(self.request_id)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent, and how the journal tells it.

    Attributes:
        http_status: None if nothing is sent.
        answer: TikTok's answer, sent or only decided; None if there is none.
    """

    response: Response
    http_status: int | None
    answer: Answer | None = None


Misbehaviour: TypeAlias = Callable[[Exchange, Fault], Awaitable[Reply]]


def say(exchange: Exchange, answer: Answer) -> Reply:
    """TikTok's answer in TikTok's form."""
    response = Response(exchange.body(answer), answer.http_status, media_type="application/json")
    return Reply(response, answer.http_status, answer)


async def _proxy_page(_exchange: Exchange, fault: Fault) -> Reply:
    page = Response(_HTML.format(status=fault.whole), fault.whole, media_type="text/html")
    return Reply(page, fault.whole)


async def _throttle(_exchange: Exchange, fault: Fault) -> Reply:
    page = Response("Too Many Requests", 429, {"Retry-After": fault.words}, "text/plain")
    return Reply(page, 429)


async def _throttle_code(exchange: Exchange, fault: Fault) -> Reply:
    return say(exchange, Answer(Code.TOO_MANY_REQUESTS, "Too many requests.", fault.whole))


async def _token_revoked(exchange: Exchange, fault: Fault) -> Reply:
    sentence = "Access token is incorrect or has been revoked."
    return say(exchange, Answer(Code.TOKEN_WRONG, sentence, fault.whole))


async def _code(exchange: Exchange, fault: Fault) -> Reply:
    return say(exchange, Answer(fault.whole, "The sandbox was told to give this code."))


async def _timeout(exchange: Exchange, fault: Fault) -> Reply:
    waited = fault.seconds
    if waited is None or not await stays(waited, exchange.receive, exchange.sleep):
        return Reply(Silence(), None)
    return say(exchange, exchange.judge())


async def _accept_then_hang(exchange: Exchange, fault: Fault) -> Reply:
    reply = say(exchange, exchange.judge())
    if fault.seconds is None:
        return Reply(Silence(), None, reply.answer)
    late = Late(reply.response, fault.seconds, exchange.sleep)
    return Reply(late, reply.http_status, reply.answer)


async def _reset(_exchange: Exchange, _fault: Fault) -> Reply:
    return Reply(Reset(), None)


async def _accept_then_reset(exchange: Exchange, _fault: Fault) -> Reply:
    return Reply(Reset(), None, exchange.judge())


async def _garbage(_exchange: Exchange, fault: Fault) -> Reply:
    return Reply(Response(fault.words, media_type="text/html"), 200)


async def _big_body(exchange: Exchange, fault: Fault) -> Reply:
    return _once_accepted(exchange, _padded(exchange, fault.whole), _JSON)


async def _gzip_bomb(exchange: Exchange, fault: Fault) -> Reply:
    bomb = _gzipped(_padded(exchange, fault.whole))
    return _once_accepted(exchange, bomb, {**_JSON, "Content-Encoding": "gzip"})


async def _slow_body(exchange: Exchange, fault: Fault) -> Reply:
    body = exchange.body(ACCEPTED)
    drops = (body[index : index + 1] for index in range(len(body)))
    return _once_accepted(exchange, drops, _JSON, pause=fault.seconds or 0)


async def _reject_index(exchange: Exchange, fault: Fault) -> Reply:
    return say(exchange, _refused(fault.whole, fault))


async def _reject_event_id(exchange: Exchange, fault: Fault) -> Reply:
    return say(exchange, _refused(exchange.arrival.event_ids().index(fault.words), fault))


async def _partial_ok(exchange: Exchange, _fault: Fault) -> Reply:
    answer = exchange.judge()
    return say(exchange, Answer(Code.PARTIAL_OK, "Partial OK") if answer.code == 0 else answer)


async def _redirect(_exchange: Exchange, fault: Fault) -> Reply:
    return Reply(Response(status_code=302, headers={"Location": fault.words}), 302)


def _refused(index: int, fault: Fault) -> Answer:
    place = ("data", index, "event_id")
    problem = "refused because the sandbox was told so."
    return Answer(Code.INVALID_VALUE, SPELLINGS[fault.spelling](place, problem))


def _once_accepted(
    exchange: Exchange, pieces: Iterable[bytes], headers: Mapping[str, str], pause: float = 0
) -> Reply:
    """Counts the events and sends the pieces; what TikTok would refuse is refused as usual."""
    answer = exchange.judge()
    if answer.code != Code.OK:
        return say(exchange, answer)
    return Reply(Crumbs(pieces, headers, pause, exchange.sleep), answer.http_status, answer)


def _padded(exchange: Exchange, size: int) -> Iterator[bytes]:
    """The answer to an accepted request, with so many bytes inside that mean nothing."""
    head, tail = exchange.body(ACCEPTED).removesuffix(b"{}}"), b'"}}'
    yield head + b'{"padding":"'
    for start in range(0, size, MEBIBYTE):
        yield b"0" * min(MEBIBYTE, size - start)
    yield tail


def _gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    gzip_container = 16 + zlib.MAX_WBITS
    compressor = zlib.compressobj(wbits=gzip_container)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


MISBEHAVIOURS: Final[Mapping[str, Misbehaviour]] = {
    "server_error": _proxy_page,
    "http_status": _proxy_page,
    "throttle": _throttle,
    "throttle_code": _throttle_code,
    "token_revoked": _token_revoked,
    "code": _code,
    "timeout": _timeout,
    "accept_then_hang": _accept_then_hang,
    "reset": _reset,
    "accept_then_reset": _accept_then_reset,
    "garbage": _garbage,
    "big_body": _big_body,
    "gzip_bomb": _gzip_bomb,
    "slow_body": _slow_body,
    "reject_index": _reject_index,
    "reject_event_id": _reject_event_id,
    "partial_ok": _partial_ok,
    "redirect": _redirect,
}
