"""How a connection is closed: so that the client sees the answer, and never waits for the client.

A client that is still sending when its socket is closed is told of a reset and may never read why.
So the service says that it has ended, throws away what still comes, and only then closes. Knows no
HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

from conversion_relay.service.http.edge.alarm import Alarm

_MAX_DISCARDED_BYTES: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Leaving:
    """The transport as uvicorn sees it; closing is different.

    Attributes:
        transport: the real one.
        flow: of the connection.
        linger_seconds: for what still comes.
        flush_seconds: for the client to read what was written.
        is_sending: whether the client is in the midst of a request.
        write: the transport's, without a detour: every answer takes it twice.
    """

    transport: asyncio.Transport
    flow: FlowControl
    linger_seconds: float
    flush_seconds: float
    is_sending: Callable[[], bool]
    write: Callable[[bytes], None] = field(init=False)
    _closing: bool = False
    _discarded_bytes: int = 0
    _alarm: Alarm = field(default_factory=Alarm)

    def __post_init__(self) -> None:
        self.write = self.transport.write

    def __getattr__(self, name: str) -> object:
        """Whatever else a transport has."""
        return getattr(self.transport, name)

    def is_closing(self) -> bool:
        """Whether it is, or has been closed."""
        return self._closing or self.transport.is_closing()

    def close(self) -> None:
        """Ends the connection when what was written is sent, and soon in any case."""
        if self.is_closing():
            return
        if self.is_sending():
            self.linger()
            return
        self._closing = True
        self.transport.close()
        self._alarm.set(self.flush_seconds, self.transport.abort)

    def linger(self) -> None:
        """Says that no more is said, and ends the connection a little later."""
        if self.is_closing():
            return
        self._closing = True
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._alarm.set(self.linger_seconds, self.transport.abort)

    def discard(self, size_bytes: int) -> None:
        """So much came that nobody reads; who sends without end is not waited for."""
        self._discarded_bytes += size_bytes
        if self._discarded_bytes > _MAX_DISCARDED_BYTES:
            self.abort()

    def abort(self) -> None:
        """Ends the connection at once."""
        self.is_gone()
        self.transport.abort()

    def is_gone(self) -> None:
        """The connection has ended."""
        self._closing = True
        self._alarm.unset()
