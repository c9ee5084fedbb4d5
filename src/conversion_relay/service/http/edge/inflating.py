"""Unpacks a compressed body while it arrives, a piece at a time.

Whoever receives from it counts what comes out, so that no more is ever unpacked than is taken.
Knows no JSON and no limits but its own piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

from starlette.types import Message, Receive

PLAIN: Final = b"identity"
WINDOWS: Final[Mapping[bytes, int]] = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
"""What zlib calls the format of each content coding that is taken."""
_PIECE_BYTES: Final = 64 * 1024
_REQUEST: Final = "http.request"


class DamagedBody(Exception):
    """The compressed data is damaged, ends too early, or is followed by something else."""


class PackedTooLarge(Exception):
    """There is more compressed data than anything that is taken could need."""


class Inflating:
    """Receives in place of `receive`, and gives the unpacked body in pieces.

    Args:
        receive: gives the compressed body.
        coding: a key of WINDOWS.
        max_packed_bytes: as much of it is received; data may go on for ever and unpack to nothing.
    """

    def __init__(self, receive: Receive, coding: bytes, max_packed_bytes: int) -> None:
        self._receive = receive
        self._zlib = zlib.decompressobj(WINDOWS[coding])
        self._left = max_packed_bytes
        self._waiting = b""
        self._more = True

    async def __call__(self) -> Message:
        """The next piece.

        Raises:
            DamagedBody: it cannot be unpacked.
            PackedTooLarge: it goes on for too long.
        """
        if not self._waiting and self._more:
            message = await self._receive()
            if message["type"] != _REQUEST:
                return message
            self._waiting = message.get("body", b"")
            self._more = message.get("more_body", False)
            self._left -= len(self._waiting)
            if self._left < 0:
                raise PackedTooLarge
        piece = self._unpack()
        if not self._zlib.eof and not piece and not self._waiting and not self._more:
            raise DamagedBody
        return {"type": _REQUEST, "body": piece, "more_body": not self._ended()}

    def _unpack(self) -> bytes:
        if self._zlib.eof and self._waiting:
            raise DamagedBody
        try:
            piece = self._zlib.decompress(self._waiting, _PIECE_BYTES)
        except zlib.error as error:
            raise DamagedBody from error
        self._waiting = self._zlib.unconsumed_tail
        if self._zlib.unused_data:
            raise DamagedBody
        return piece

    def _ended(self) -> bool:
        return self._zlib.eof and not self._more
