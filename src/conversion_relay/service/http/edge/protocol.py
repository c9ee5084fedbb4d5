"""HTTP on one connection, within bounds: uvicorn's protocol has none for whoever is slow or vast.

What a client may do and for how long is the door's to say. Knows no path and nothing of what is
asked; a request that is refused here never reaches the application.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn, cast

import httptools
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from conversion_relay.service.http.edge import refusals as door_refusals
from conversion_relay.service.http.edge.alarm import Alarm
from conversion_relay.service.http.edge.door import Door
from conversion_relay.service.http.edge.leaving import Leaving

if TYPE_CHECKING:
    from conversion_relay.service.http.problems import Problem

_FIELD_OVERHEAD_BYTES: Final = 4  # a colon, a space and the end of the line
_FREE_CHUNKS: Final = 1_000
_LEAST_CHUNK_BYTES: Final = 256


class _Stage(Enum):
    """How far the request at hand has come in."""

    NONE = auto()
    HEAD = auto()
    BODY = auto()


class _Stop(Exception):
    """Ends the work of the parser; why is said in `_refusal`."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with deadlines, a bound of the header, and a place in the door's list."""

    door: ClassVar[Door]
    _stage = _Stage.NONE
    _requests = 0
    _head_bytes = 0
    _ahead_bytes = 0
    _body_bytes = 0
    _chunks = 0
    _fields = 0
    _unparsed_bytes = 0
    _began_at = 0.0
    _deaf = False
    _refusal: Problem | None = None
    _alarm: Alarm
    _write_alarm: Alarm
    _leaving: Leaving

    # What the event loop calls

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        limits = self.door.limits
        self._alarm, self._write_alarm = Alarm(), Alarm()
        self._leaving = Leaving(
            transport, self.flow, limits.linger_seconds, limits.receive_seconds, self._is_sending
        )
        self.transport = cast("asyncio.Transport", self._leaving)
        if self.door.has_room_for(len(self.connections)):
            self.door.wait(self)
            self._alarm.set(limits.receive_seconds, self.transport.close)
        else:
            self._refuse(door_refusals.too_many_connections())

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.door.leave(self)
        self._alarm.unset()
        self._write_alarm.unset()
        self._leaving.is_gone()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._deaf or self._leaving.is_closing():
            self._leaving.discard(len(data))
            return
        self._unset_keepalive_if_required()
        before, requests = self._stage, self._requests
        self._unparsed_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._hear_no_more()
        except httptools.HttpParserError:
            self._refuse(self._refusal or door_refusals.bad_request())
        else:
            self._look_at_the_clock(before, self._requests - requests)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_alarm.set(self.door.limits.receive_seconds, self._give_up_writing)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_alarm.unset()

    # What the parser calls

    @override
    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self.door.limits.max_pipelined:
            self._stop(door_refusals.too_many_connections())
        self._stage = _Stage.HEAD
        self._requests += 1
        self._head_bytes = self._fields = self._unparsed_bytes = 0
        self._body_bytes = self._chunks = 0
        if not self.pipeline:
            self._ahead_bytes = 0
        self.door.begin(self)
        super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        self._head_bytes += len(url)
        self._look_at_the_head()
        super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + _FIELD_OVERHEAD_BYTES
        self._fields += 1
        self._look_at_the_head()
        if self._stage is _Stage.HEAD:  # what stands behind a body is counted and forgotten
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._unparsed_bytes = 0
        super().on_headers_complete()
        self._stage = _Stage.BODY  # not before: an address that cannot be read ends in the head
        self._count_ahead(self._head_bytes)

    @override
    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        self._body_bytes += len(body)
        self._count_ahead(len(body))
        super().on_body(body)

    def on_chunk_header(self) -> None:
        """One more chunk: each costs as much, whatever its size, and nobody else gets a turn."""
        self._chunks += 1
        if self._chunks > _FREE_CHUNKS + self._body_bytes // _LEAST_CHUNK_BYTES:
            self._stop(door_refusals.chunks_too_small(_FREE_CHUNKS, _LEAST_CHUNK_BYTES))

    @override
    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        self._stage = _Stage.NONE
        if not self.cycle.response_complete:
            self.door.leave(self)
        super().on_message_complete()

    # What the cycle of a request calls

    @override
    def on_response_complete(self) -> None:
        last = not self.pipeline
        super().on_response_complete()
        if last or self._is_sending():
            self.door.wait(self)
        if last and self._deaf:
            self.transport.close()

    # Bounds

    def give_way(self) -> None:
        """Leaves at once, in favour of whoever comes."""
        if self._leaving.is_closing() or not self._is_sending():
            self._leaving.abort()
        else:
            self._answer_and_leave(door_refusals.too_many_connections())

    def _is_answered(self) -> bool:
        """Whether nothing is under way of what came in."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _is_sending(self) -> bool:
        return self._stage is not _Stage.NONE

    def _look_at_the_head(self) -> None:
        self._unparsed_bytes = 0
        limits = self.door.limits
        if self._head_bytes > limits.max_header_bytes or self._fields > limits.max_header_fields:
            self._stop(self._too_large())

    def _count_ahead(self, size_bytes: int) -> None:
        """What waits for its turn is held here, where nothing else counts it."""
        if self.pipeline:
            self._ahead_bytes += size_bytes
            if self._ahead_bytes > self.door.limits.max_header_bytes:
                self._stop(door_refusals.too_many_connections())

    def _stop(self, problem: Problem) -> NoReturn:
        self._refusal = problem
        raise _Stop

    def _too_large(self) -> Problem:
        limits = self.door.limits
        if self._stage is _Stage.HEAD and not self._fields:
            return door_refusals.address_too_long(limits.max_header_bytes)
        return door_refusals.headers_too_large(limits.max_header_bytes, limits.max_header_fields)

    def _look_at_the_clock(self, before: _Stage, begun: int) -> None:
        """After each piece that came: what it is part of has its time from its first byte."""
        limits = self.door.limits
        if self._unparsed_bytes > limits.max_header_bytes:
            self._refuse(self._too_large())
        elif self._stage is _Stage.NONE:
            if begun or before is not _Stage.NONE:
                self._alarm.unset()
            # uvicorn's own clock runs only from an answer to the next byte
            if not self._alarm.is_set and self._is_answered():
                self._alarm.set(limits.receive_seconds, self.transport.close)
        elif begun:
            self._began_at = self.loop.time()
            self._wait_for_the_rest()
        elif before is not self._stage:
            self._wait_for_the_rest()

    def _wait_for_the_rest(self) -> None:
        limits = self.door.limits
        in_head = self._stage is _Stage.HEAD
        seconds = limits.head_seconds if in_head else limits.receive_seconds
        refuse = partial(self._refuse, door_refusals.too_slow(seconds))
        self._alarm.set(self._began_at + seconds - self.loop.time(), refuse)

    def _refuse(self, problem: Problem) -> None:
        self.door.turned_away(problem.slug)
        self._answer_and_leave(problem)

    def _answer_and_leave(self, problem: Problem) -> None:
        """Answers, unless answers to earlier requests are under way: these are the last then."""
        self._alarm.unset()
        self._deaf = True
        if self._is_answered():
            if self._stage is _Stage.BODY:
                self.transport.close()
            else:
                self._say(problem)
        elif self._stage is not _Stage.BODY:
            return
        elif self.pipeline:
            self.pipeline.popleft()
        else:
            self._interrupt(problem)

    def _interrupt(self, problem: Problem) -> None:
        """The application waits for the rest of this request, or does not care for it."""
        if self.cycle.response_started:
            self._leaving.abort()
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        self._say(problem)

    def _say(self, problem: Problem) -> None:
        self.transport.write(door_refusals.raw(problem))
        if self.door.is_overrun(len(self.connections)):
            self._leaving.abort()
        else:
            self._leaving.linger()

    def _hear_no_more(self) -> None:
        """Behind a request for another protocol stands none of ours: it is answered as any is."""
        self._alarm.unset()
        self._deaf = True
        if self._is_answered():
            self.transport.close()

    def _give_up_writing(self) -> None:
        self.door.turned_away("answer-not-read")
        self._leaving.abort()


def behind(door: Door) -> type[asyncio.Protocol]:
    """The protocol of connections that come in by this door."""
    return type("_BehindTheDoor", (BoundedProtocol,), {"door": door})
